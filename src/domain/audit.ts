import type { AccessScope, Principal } from "./principal.ts";

/** The kind of a change. */
export type AuditAction =
  | "CREATE"
  | "UPDATE"
  | "DELETE"
  | "SAVE_DRAFT"
  | "PUBLISH"
  | "UNPUBLISH"
  | "RESTORE"
  | "ROTATE"
  | "REVOKE";

/** One change in the audit log. */
export type AuditEvent = {
  readonly id: string;
  /** The id of the API key, or a word such as `operator` for a change without a key. */
  readonly keyId: string;
  readonly action: AuditAction;
  readonly resource: string;
  readonly createTime: Date;
};

/** Selects the changes of an environment that match all given members. */
export type AuditFilter = {
  readonly environmentId: string;
  readonly resource?: string;
  readonly action?: AuditAction;
  readonly keyId?: string;
  /** Inclusive. */
  readonly createdSince?: Date;
  /** Exclusive. */
  readonly createdBefore?: Date;
};

/** The key that makes a change, and what it may change. */
export type Actor = AccessScope & Pick<Principal, "keyId">;

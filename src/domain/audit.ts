import type { Principal } from "./principal.ts";

/** What was done to a resource. */
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

/** A change that was made. */
export type AuditEvent = {
  readonly id: string;
  /** The API key's id, or a word for the service itself. */
  readonly keyId: string;
  readonly action: AuditAction;
  readonly resource: string;
  readonly createTime: Date;
};

/** Which changes are meant: those of an environment to which all applies that is there. */
export type AuditFilter = {
  readonly environmentId: string;
  readonly resource?: string;
  readonly action?: AuditAction;
  readonly keyId?: string;
  /** Included. */
  readonly createdSince?: Date;
  /** Not included. */
  readonly createdBefore?: Date;
};

/** Who makes a change, and where. */
export type Actor = Pick<Principal, "environmentId" | "keyId">;

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

/** Who makes a change, and where. */
export type Actor = Pick<Principal, "environmentId" | "keyId">;

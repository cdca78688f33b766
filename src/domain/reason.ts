import { Code } from "@connectrpc/connect";

/**
 * The one table of refusals: what a caller is told by which code on which protocol.
 *
 * `code` is what Connect, gRPC and gRPC-Web answer; `status` what REST answers. A reason, once published, keeps its
 * meaning.
 */
export type Reason =
  | "VALIDATION_ERROR"
  | "INVALID_JSON"
  | "PAYLOAD_TOO_LARGE"
  | "PAYLOAD_TOO_DEEP"
  | "PAYLOAD_INVALID"
  | "MISSING_API_KEY"
  | "INVALID_API_KEY"
  | "INVALID_WATCH_TOKEN"
  | "TOKEN_EXPIRED"
  | "SCOPE_MISSING"
  | "INVALID_LINKED_ACCOUNT_ID"
  | "WORKFLOW_NOT_FOUND"
  | "WORKFLOW_VERSION_NOT_FOUND"
  | "WORKFLOW_NOT_PUBLISHED"
  | "WORKFLOW_HAS_OTHER_TRIGGER"
  | "WORKFLOW_INVALID"
  | "SLUG_REQUIRED"
  | "SYNC_NOT_ALLOWED_WITH_GROUP"
  | "CALL_CHAIN_TOO_LONG"
  | "ALIAS_TAKEN"
  | "ETAG_MISMATCH"
  | "IDEMPOTENCY_KEY_REUSED"
  | "INTEGRATION_NOT_FOUND"
  | "INTEGRATION_EXISTS"
  | "INTEGRATION_IN_USE"
  | "LINKED_ACCOUNT_IN_USE"
  | "KEY_EXCEEDS_MAKER"
  | "KEY_ENDED"
  | "KEY_LOOKUPS_FULL"
  | "LAST_ADMIN_KEY"
  | "RESOURCE_NOT_FOUND"
  | "EXECUTION_ENDED"
  | "EXECUTION_NOT_ENDED"
  | "EXECUTION_IS_TEST"
  | "NODE_DID_NOT_FAIL"
  | "NODE_RETRY_NOT_ALLOWED"
  | "ENCRYPTION_KEYS_MISSING"
  | "QUEUE_FULL"
  | "DAY_BYTES_USED"
  | "WATCHERS_FULL"
  | "TOO_MANY_REQUESTS"
  | "POOL_FULL"
  | "REPLY_TOO_LARGE"
  | "RECORDS_TOO_LARGE"
  | "RECORDS_MEMORY_FULL"
  | "ROUTE_NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "UNSUPPORTED_MEDIA_TYPE"
  | "ENCODING_UNDECLARED"
  | "MALFORMED_REQUEST"
  | "HEADERS_TOO_LARGE"
  | "REQUEST_TIMEOUT"
  | "SERVER_BUSY"
  | "DATABASE_UNAVAILABLE"
  | "SHUTTING_DOWN"
  | "SERVER_ERROR";

/** How a reason travels. */
export type ReasonRule = { readonly code: Code; readonly status: number };

export const reasons: Readonly<Record<Reason, ReasonRule>> = {
  VALIDATION_ERROR: { code: Code.InvalidArgument, status: 400 },
  INVALID_JSON: { code: Code.InvalidArgument, status: 400 },
  PAYLOAD_TOO_LARGE: { code: Code.ResourceExhausted, status: 413 },
  PAYLOAD_TOO_DEEP: { code: Code.InvalidArgument, status: 400 },
  PAYLOAD_INVALID: { code: Code.InvalidArgument, status: 400 },
  MISSING_API_KEY: { code: Code.Unauthenticated, status: 401 },
  INVALID_API_KEY: { code: Code.Unauthenticated, status: 401 },
  INVALID_WATCH_TOKEN: { code: Code.Unauthenticated, status: 401 },
  TOKEN_EXPIRED: { code: Code.Unauthenticated, status: 401 },
  SCOPE_MISSING: { code: Code.PermissionDenied, status: 403 },
  INVALID_LINKED_ACCOUNT_ID: { code: Code.InvalidArgument, status: 400 },
  WORKFLOW_NOT_FOUND: { code: Code.NotFound, status: 404 },
  WORKFLOW_VERSION_NOT_FOUND: { code: Code.NotFound, status: 404 },
  WORKFLOW_NOT_PUBLISHED: { code: Code.FailedPrecondition, status: 400 },
  WORKFLOW_HAS_OTHER_TRIGGER: { code: Code.FailedPrecondition, status: 400 },
  WORKFLOW_INVALID: { code: Code.FailedPrecondition, status: 400 },
  SLUG_REQUIRED: { code: Code.InvalidArgument, status: 400 },
  SYNC_NOT_ALLOWED_WITH_GROUP: { code: Code.FailedPrecondition, status: 400 },
  // Not a status that HTTP clients try again.
  CALL_CHAIN_TOO_LONG: { code: Code.FailedPrecondition, status: 400 },
  ALIAS_TAKEN: { code: Code.AlreadyExists, status: 409 },
  IDEMPOTENCY_KEY_REUSED: { code: Code.AlreadyExists, status: 409 },
  ETAG_MISMATCH: { code: Code.Aborted, status: 412 },
  INTEGRATION_NOT_FOUND: { code: Code.NotFound, status: 404 },
  INTEGRATION_EXISTS: { code: Code.AlreadyExists, status: 409 },
  INTEGRATION_IN_USE: { code: Code.FailedPrecondition, status: 400 },
  LINKED_ACCOUNT_IN_USE: { code: Code.FailedPrecondition, status: 400 },
  KEY_EXCEEDS_MAKER: { code: Code.PermissionDenied, status: 403 },
  KEY_ENDED: { code: Code.FailedPrecondition, status: 400 },
  RESOURCE_NOT_FOUND: { code: Code.NotFound, status: 404 },
  EXECUTION_ENDED: { code: Code.FailedPrecondition, status: 400 },
  EXECUTION_NOT_ENDED: { code: Code.FailedPrecondition, status: 400 },
  EXECUTION_IS_TEST: { code: Code.FailedPrecondition, status: 400 },
  NODE_DID_NOT_FAIL: { code: Code.FailedPrecondition, status: 400 },
  NODE_RETRY_NOT_ALLOWED: { code: Code.FailedPrecondition, status: 400 },
  ENCRYPTION_KEYS_MISSING: { code: Code.FailedPrecondition, status: 400 },
  QUEUE_FULL: { code: Code.ResourceExhausted, status: 429 },
  DAY_BYTES_USED: { code: Code.ResourceExhausted, status: 429 },
  TOO_MANY_REQUESTS: { code: Code.ResourceExhausted, status: 429 },
  WATCHERS_FULL: { code: Code.ResourceExhausted, status: 429 },
  POOL_FULL: { code: Code.Unavailable, status: 503 },
  REPLY_TOO_LARGE: { code: Code.ResourceExhausted, status: 413 },
  RECORDS_TOO_LARGE: { code: Code.ResourceExhausted, status: 413 },
  RECORDS_MEMORY_FULL: { code: Code.Unavailable, status: 503 },
  ROUTE_NOT_FOUND: { code: Code.Unimplemented, status: 404 },
  METHOD_NOT_ALLOWED: { code: Code.Unimplemented, status: 405 },
  UNSUPPORTED_MEDIA_TYPE: { code: Code.Unimplemented, status: 415 },
  ENCODING_UNDECLARED: { code: Code.Internal, status: 400 },
  MALFORMED_REQUEST: { code: Code.InvalidArgument, status: 400 },
  HEADERS_TOO_LARGE: { code: Code.ResourceExhausted, status: 431 },
  REQUEST_TIMEOUT: { code: Code.DeadlineExceeded, status: 408 },
  LAST_ADMIN_KEY: { code: Code.FailedPrecondition, status: 400 },
  KEY_LOOKUPS_FULL: { code: Code.Unavailable, status: 503 },
  SERVER_BUSY: { code: Code.Unavailable, status: 503 },
  DATABASE_UNAVAILABLE: { code: Code.Unavailable, status: 503 },
  SHUTTING_DOWN: { code: Code.Unavailable, status: 503 },
  SERVER_ERROR: { code: Code.Internal, status: 500 },
};

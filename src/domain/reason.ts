import { grpc, type ReasonRule } from "./reason-rule.ts";

/**
 * The one table of refusals. A reason keeps its meaning once it is published. A refusal has the default message unless it
 * knows more, such as a name or a limit. Every message is a sentence with an instruction.
 */
export const reasons = {
  VALIDATION_ERROR: {
    code: grpc.INVALID_ARGUMENT,
    status: 400,
    message: "The request is not valid. Correct the fields that the error names.",
  },
  INVALID_JSON: {
    code: grpc.INVALID_ARGUMENT,
    status: 400,
    message: "The body is not valid JSON. Correct it, and send it again.",
  },
  PAYLOAD_TOO_LARGE: {
    code: grpc.RESOURCE_EXHAUSTED,
    status: 413,
    message: "The request is too large. Send a smaller one.",
  },
  PAYLOAD_TOO_DEEP: {
    code: grpc.INVALID_ARGUMENT,
    status: 400,
    message: "The JSON is nested too deeply. Send it with fewer levels.",
  },
  PAYLOAD_INVALID: {
    code: grpc.INVALID_ARGUMENT,
    status: 400,
    message: "The payload does not match the workflow's JSON Schema. Correct the fields that the error names.",
  },
  MISSING_API_KEY: {
    code: grpc.UNAUTHENTICATED,
    status: 401,
    message: "Send an API key in the header x-api-key, or as a bearer token in the header authorization.",
  },
  INVALID_API_KEY: {
    code: grpc.UNAUTHENTICATED,
    status: 401,
    message: "The API key is not valid. Send a valid one.",
  },
  INVALID_WATCH_TOKEN: {
    code: grpc.UNAUTHENTICATED,
    status: 401,
    message:
      "The watch token is not valid for this stream. Send it once, as CreateWatchToken answered it, and no API key beside it.",
  },
  TOKEN_EXPIRED: {
    code: grpc.UNAUTHENTICATED,
    status: 401,
    message:
      "The watch token has expired, or the API key that made it has ended. Ask CreateWatchToken for another one.",
  },
  SCOPE_MISSING: {
    code: grpc.PERMISSION_DENIED,
    status: 403,
    message: "The API key lacks the scope of this method. Use a key that has it.",
  },
  INVALID_LINKED_ACCOUNT_ID: {
    code: grpc.INVALID_ARGUMENT,
    status: 400,
    message: "The environment has no such linked account. Create it, or correct linked_account_id.",
  },
  WORKFLOW_NOT_FOUND: {
    code: grpc.NOT_FOUND,
    status: 404,
    message: "The environment has no such workflow. Check the id or alias, and the slug.",
  },
  WORKFLOW_VERSION_NOT_FOUND: {
    code: grpc.NOT_FOUND,
    status: 404,
    message: "The workflow has no such version. List its versions, and name one of them.",
  },
  WORKFLOW_NOT_PUBLISHED: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message: "The workflow is not published. Publish it, and try again.",
  },
  WORKFLOW_HAS_OTHER_TRIGGER: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message:
      "The workflow is not started by API calls. Set the trigger of its Start node to `api_call` and publish it.",
  },
  WORKFLOW_INVALID: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message: "The definition cannot run. Correct its problems, and save it again.",
  },
  IMPORT_INVALID: {
    code: grpc.INVALID_ARGUMENT,
    status: 400,
    message: "The export has no graph that could run. Correct what the error names, and export it again.",
  },
  SLUG_REQUIRED: {
    code: grpc.INVALID_ARGUMENT,
    status: 400,
    message: "Several integrations have a workflow with this alias. Send the slug of one of them too.",
  },
  SYNC_NOT_ALLOWED_WITH_GROUP: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message:
      "sync_execution is not allowed for a workflow with a Group node. Call it without sync_execution, and with Prefer: wait=50.",
  },
  // 400, since HTTP clients do not retry it.
  CALL_CHAIN_TOO_LONG: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message:
      "Too many executions in a row were each called by the one before. Check whether the workflow calls itself.",
  },
  ALIAS_TAKEN: {
    code: grpc.ALREADY_EXISTS,
    status: 409,
    message: "Another workflow of the integration has this alias. Choose another one.",
  },
  ETAG_MISMATCH: {
    code: grpc.ABORTED,
    status: 412,
    message: "The resource has changed since it was read. Read it again, and repeat the change.",
  },
  IDEMPOTENCY_KEY_REUSED: {
    code: grpc.ALREADY_EXISTS,
    status: 409,
    message: "The idempotency key belongs to another call. Use a new key for a new call.",
  },
  INTEGRATION_NOT_FOUND: {
    code: grpc.NOT_FOUND,
    status: 404,
    message: "The environment has no such integration. Create it, or correct the slug.",
  },
  INTEGRATION_EXISTS: {
    code: grpc.ALREADY_EXISTS,
    status: 409,
    message: "The environment has an integration with this slug. Update it, or choose another slug.",
  },
  INTEGRATION_IN_USE: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message: "Workflows belong to the integration. Delete them first.",
  },
  LINKED_ACCOUNT_IN_USE: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message: "The linked account has executions that have not ended. Wait for their end, or stop them.",
  },
  KEY_EXCEEDS_MAKER: {
    code: grpc.PERMISSION_DENIED,
    status: 403,
    message: "A key can grant no more than the key that makes it. Ask for fewer scopes, or use another key.",
  },
  KEY_ENDED: { code: grpc.FAILED_PRECONDITION, status: 400, message: "The API key has ended. Use another one." },
  KEY_LOOKUPS_FULL: {
    code: grpc.UNAVAILABLE,
    status: 503,
    message: "Too many API keys are being looked up. Try again later.",
  },
  LAST_ADMIN_KEY: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message:
      "No other key of the environment has the scope admin for as long as this one. Create one first, or rotate this one.",
  },
  WEBHOOK_ENDPOINTS_FULL: { code: grpc.RESOURCE_EXHAUSTED, status: 429, message: "Delete a webhook endpoint first." },
  VARIABLES_FULL: { code: grpc.RESOURCE_EXHAUSTED, status: 429, message: "The environment has too many variables." },
  SCHEDULES_FULL: {
    code: grpc.RESOURCE_EXHAUSTED,
    status: 429,
    message: "The environment has as many schedules as it may have. Delete some first.",
  },
  RESOURCE_NOT_FOUND: {
    code: grpc.NOT_FOUND,
    status: 404,
    message: "The environment has no such resource. Check the id.",
  },
  EXECUTION_ENDED: { code: grpc.FAILED_PRECONDITION, status: 400, message: "The execution has ended already." },
  WEBHOOK_ALREADY_RECEIVED: { code: grpc.ALREADY_EXISTS, status: 409, message: "The node goes on with another call." },
  WEBHOOK_HEADERS_WRONG: {
    code: grpc.UNAUTHENTICATED,
    status: 401,
    message: "A header that the node asks for is missing or wrong. Send the headers that its author told you.",
  },
  WAIT_ENDED: { code: grpc.FAILED_PRECONDITION, status: 410, message: "The execution or its wait has ended." },
  EXECUTION_NOT_ENDED: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message: "The execution has not ended. Wait for its end, or stop it, and try again.",
  },
  EXECUTION_IS_TEST: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message:
      "The execution was a test of a draft, which cannot be repeated. Test the draft again with the outputs of this one.",
  },
  NODE_DID_NOT_FAIL: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message: "The node has not failed. Retry a node that has.",
  },
  NODE_RETRY_NOT_ALLOWED: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message: "The node may not be retried. Run the workflow again by RerunExecution.",
  },
  ENCRYPTION_KEYS_MISSING: {
    code: grpc.FAILED_PRECONDITION,
    status: 400,
    message: "The service has no encryption key. Set FLOWCALL_ENCRYPTION_KEYS.",
  },
  QUEUE_FULL: {
    code: grpc.RESOURCE_EXHAUSTED,
    status: 429,
    message: "Too many executions are waiting. Try again later.",
  },
  DAY_BYTES_USED: {
    code: grpc.RESOURCE_EXHAUSTED,
    status: 429,
    message: "The environment has used its payload bytes of this day. Try again tomorrow (UTC).",
  },
  WATCHERS_FULL: {
    code: grpc.RESOURCE_EXHAUSTED,
    status: 429,
    message: "Too many streams are open. Close some, or try again later.",
  },
  TOO_MANY_REQUESTS: {
    code: grpc.RESOURCE_EXHAUSTED,
    status: 429,
    message: "The limit of requests is reached. Try again later.",
  },
  POOL_FULL: {
    code: grpc.UNAVAILABLE,
    status: 503,
    message: "Too many checks are waiting for a child process. Try again.",
  },
  REPLY_TOO_LARGE: {
    code: grpc.RESOURCE_EXHAUSTED,
    status: 413,
    message: "The reply is larger than one reply may be. Ask for less.",
  },
  RECORDS_TOO_LARGE: {
    code: grpc.RESOURCE_EXHAUSTED,
    status: 413,
    message: "The execution has recorded more than it may. Run it again from its start.",
  },
  RECORDS_MEMORY_FULL: {
    code: grpc.UNAVAILABLE,
    status: 503,
    message: "This process holds as many records as it may. Try again later.",
  },
  ROUTE_NOT_FOUND: { code: grpc.UNIMPLEMENTED, status: 404, message: "There is nothing at this path. Check the path." },
  METHOD_NOT_ALLOWED: {
    code: grpc.UNIMPLEMENTED,
    status: 405,
    message: "The path does not take this method. Use one that the header Allow names.",
  },
  UNSUPPORTED_MEDIA_TYPE: {
    code: grpc.UNIMPLEMENTED,
    status: 415,
    message: "The body's media type or encoding is not supported. Send JSON without a content-encoding.",
  },
  ENCODING_UNDECLARED: {
    code: grpc.INTERNAL,
    status: 400,
    message:
      "The message is marked as compressed, and no header names the encoding. Name it, or send the message uncompressed.",
  },
  MALFORMED_REQUEST: {
    code: grpc.INVALID_ARGUMENT,
    status: 400,
    message: "The bytes are not an HTTP request. Send one.",
  },
  HEADERS_TOO_LARGE: {
    code: grpc.RESOURCE_EXHAUSTED,
    status: 431,
    message: "The request line and headers are too large. Send fewer or shorter headers.",
  },
  REQUEST_TIMEOUT: {
    code: grpc.DEADLINE_EXCEEDED,
    status: 408,
    message: "The request was not complete in time. Send it faster.",
  },
  SERVER_BUSY: { code: grpc.UNAVAILABLE, status: 503, message: "The server is at its limit. Try again later." },
  DATABASE_UNAVAILABLE: {
    code: grpc.UNAVAILABLE,
    status: 503,
    message: "The server cannot reach its database. Try again.",
  },
  SHUTTING_DOWN: { code: grpc.UNAVAILABLE, status: 503, message: "The server is shutting down. Try again." },
  SERVER_ERROR: {
    code: grpc.INTERNAL,
    status: 500,
    message: "The server failed to answer. Its log has the cause under the request id of this reply.",
  },
} as const satisfies Readonly<Record<string, ReasonRule>>;

export type Reason = keyof typeof reasons;

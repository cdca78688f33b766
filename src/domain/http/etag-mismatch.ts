import { RequestError } from "../request-error.ts";

/** The refusal of a change to a state that a resource no longer has (optimistic locking). */
export function etagMismatch(metadata: Readonly<Record<string, string>>): RequestError {
  return RequestError.of("ETAG_MISMATCH", { metadata });
}

import { RequestError } from "../request-error.ts";

/** The refusal of a change to a state that a resource is not in any more. */
export function etagMismatch(metadata: Readonly<Record<string, string>>): RequestError {
  const message = "It was changed in the meantime. Read it again, and repeat the change on what you find.";
  return new RequestError("ETAG_MISMATCH", message, { metadata });
}

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ExecutionError } from "../../domain/execution.ts";
import { redacted, redactPaths } from "../../domain/json/redacted.ts";

/** The settings of a node that hide its output. */
export type Hiding = { readonly isHidden: boolean; readonly encryptedFields: readonly string[] };

/** An error as it appears outside of its node's own record: without what the node hides. */
export function shownError(error: ExecutionError, { isHidden, encryptedFields }: Hiding): ExecutionError {
  const { body, cause, ...rest } = error;
  if (isHidden) {
    return { ...rest, message: redacted, ...(body !== undefined && { body: redacted }) };
  }
  if (body === undefined || encryptedFields.length === 0) {
    return error;
  }
  // A path leads into JSON. Text may hold the same value anywhere: the beginning of a JSON text, above all.
  const isText = typeof body !== "object" || body === null;
  const shown = redactPaths({ body }, isText ? encryptedFields.map(firstStep) : encryptedFields);
  return { ...error, body: isObject(shown) ? (shown["body"] ?? redacted) : redacted };
}

/** The name that a path begins with. */
function firstStep(path: string): string {
  return /^[^.[]+/.exec(path)?.[0] ?? path;
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

import { createHash } from "node:crypto";
import type { JsonValue } from "@bufbuild/protobuf";

/** What two calls with one idempotency key must agree in: a SHA-256 in hex. The order of members does not count. */
export function fingerprintOf(call: {
  readonly workflowId: string;
  readonly configId: string;
  readonly payload: JsonValue;
}): string {
  const text = JSON.stringify([call.workflowId, call.configId, sorted(call.payload)]);
  return createHash("sha256").update(text).digest("hex");
}

/** Objects become arrays of pairs: a text of one is never the text of the other, since each says which it is. */
function sorted(value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return ["array", ...value.map(sorted)];
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return ["object", ...members.map(([name, member]): JsonValue => [name, sorted(member)])];
}

import type { DescMessage, JsonValue, Message } from "@bufbuild/protobuf";
import type { Limits } from "../limits.ts";
import type { FieldViolation } from "../request-error.ts";
import { isDateTime } from "./day.ts";
import { isTimestamp, singularExpected } from "./field-path.ts";
import { parseJson } from "./json-parse.ts";
import { messageRules } from "./json-rules.ts";
import { scanJson } from "./json-scan.ts";
import { jsonWithoutStructs, readMessage } from "./json-structs.ts";
import { fieldsRefused, isObject, violationsOf } from "./violations.ts";

/** Reads a message from the bytes of its JSON. Throws RequestError as `scanJson` and `messageOf` do. */
export function messageFromJson(schema: DescMessage, bytes: Uint8Array, limits: Limits): Message {
  return messageOf(schema, parseJson(scanJson(bytes, messageRules(limits))));
}

/** Reads a message from a JSON value. Throws VALIDATION_ERROR, which names each bad or unknown field. */
export function messageOf(schema: DescMessage, json: JsonValue): Message {
  const times = timesRefused(schema, json);
  if (times.length > 0) {
    throw fieldsRefused(times);
  }
  try {
    return readMessage(schema, json);
  } catch (cause) {
    const violations = violationsOf(schema, jsonWithoutStructs(schema, json));
    const unknown = { field: "", description: "cannot be read as the message that this method takes" };
    throw fieldsRefused(violations.length > 0 ? violations : [unknown], cause);
  }
}

/**
 * Violations for times that do not exist: `Date.parse`, which reads them, takes 30 February for 1 or 2 March. Only the
 * request message itself has times, and no message inside it.
 */
function timesRefused(schema: DescMessage, json: JsonValue): readonly FieldViolation[] {
  if (!isObject(json)) {
    return [];
  }
  return schema.fields.filter(isTimestamp).flatMap((field) => {
    const text = json[field.name] ?? json[field.jsonName];
    const isRefused = typeof text === "string" && !isDateTime(text);
    return isRefused ? [{ field: field.name, description: singularExpected(field) }] : [];
  });
}

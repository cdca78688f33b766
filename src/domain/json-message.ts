import { create, type DescMessage, type JsonValue, type Message, mergeFromJson } from "@bufbuild/protobuf";
import { parseJson } from "./json-parse.ts";
import { messageRules } from "./json-rules.ts";
import { scanJson } from "./json-scan.ts";
import type { Limits } from "./limits.ts";
import { fieldsRefused, violationsOf } from "./violations.ts";

/** Reads a whole message from the bytes of its JSON. Throws RequestError: as `scanJson`, and as `messageOf`. */
export function messageFromJson(schema: DescMessage, bytes: Uint8Array, limits: Limits): Message {
  return messageOf(schema, parseJson(scanJson(bytes, messageRules(limits))));
}

/** Reads a message from JSON. Throws RequestError: VALIDATION_ERROR that names each bad or unknown field. */
export function messageOf(schema: DescMessage, json: JsonValue): Message {
  try {
    return mergeFromJson(schema, create(schema), json);
  } catch (cause) {
    const violations = violationsOf(schema, json);
    const unknown = { field: "", description: "cannot be read as the message that this method takes" };
    throw fieldsRefused(violations.length > 0 ? violations : [unknown], cause);
  }
}

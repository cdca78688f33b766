import { create, type DescField, type DescMessage, type JsonValue, type Message } from "@bufbuild/protobuf";
import { carriedText } from "./json-parse.ts";
import { jsonFieldsOf, writeMessage } from "./json-structs.ts";

import { isObject } from "./violations.ts";

/** How messages are written as JSON in replies: fields with their default are written, unless they are `optional` and not set. */
const options = { alwaysEmitImplicit: true } as const;

/**
 * Writes a message as JSON text. A google.protobuf.Value or Struct in a field of the message itself carries its text,
 * which is copied: it is not decoded and encoded again.
 */
export function writeJson(schema: DescMessage, message: Message): string {
  let spliced = "";
  // A field is read under its name, since protobuf-es would lose the text that the value carries.
  let rest = message as Message & Record<string, unknown>;
  for (const { localName, jsonName } of jsonFieldsOf(schema)) {
    const text = carriedText(rest[localName]);
    if (text !== undefined) {
      rest = { ...rest, [localName]: undefined };
      spliced += `${spliced === "" ? "" : ","}${JSON.stringify(jsonName)}:${text}`;
    }
  }
  const written = JSON.stringify(writeMessage(schema, rest, options));
  if (spliced === "") {
    return written;
  }
  return written === "{}" ? `{${spliced}}` : `{${spliced},${written.slice(1)}`;
}

/** Writes one field of a message as a whole JSON text: its default or null where it is not set. */
export function writeFieldJson(schema: DescMessage, field: DescField, message: Message): string {
  const { [field.localName]: value } = message as Message & Record<string, unknown>;
  const text = field.fieldKind === "message" && field.oneof === undefined ? carriedText(value) : undefined;
  if (text !== undefined) {
    return text;
  }
  const set = memberOf(writeMessage(schema, message), field);
  return JSON.stringify(set ?? memberOf(writeMessage(schema, create(schema), options), field) ?? null);
}

function memberOf(json: JsonValue, field: DescField): JsonValue | undefined {
  return isObject(json) ? json[field.jsonName] : undefined;
}

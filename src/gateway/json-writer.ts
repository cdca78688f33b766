import { create, type DescField, type DescMessage, type JsonValue, type Message } from "@bufbuild/protobuf";
import { carriedText } from "../domain/json/json-parse.ts";
import { writeMessage } from "../domain/json/json-structs.ts";
import type { JsonText } from "../domain/json/json-text.ts";
import { isObject } from "../domain/json/violations.ts";

/**
 * Writes a message as JSON text. A google.protobuf.Value or Struct in a field of the message itself carries its text,
 * which is copied: it is not decoded and encoded again. Fields with their default value are written, unless they are
 * `optional` in the proto and not set.
 */
export function writeJson(schema: DescMessage, message: Message): string {
  const spliced: string[] = [];
  // The copy lacks the spliced fields. The cast: protobuf-es cannot read or omit a field by its descriptor.
  const rest = { ...message } as Message & Record<string, unknown>;
  for (const field of schema.fields) {
    const text = carriedTextOf(field, rest[field.localName]);
    if (text === undefined) {
      continue;
    }
    spliced.push(`${JSON.stringify(field.jsonName)}:${text}`);
    delete rest[field.localName];
  }
  const written = JSON.stringify(writeMessage(schema, rest, { alwaysEmitImplicit: true }));
  if (spliced.length === 0) {
    return written;
  }
  const members = written.slice(1, -1);
  return `{${spliced.join(",")}${members === "" ? "" : `,${members}`}}`;
}

/** Writes one field of a message as a whole JSON text: its default or null where it is not set. */
export function writeFieldJson(schema: DescMessage, field: DescField, message: Message): string {
  // The cast: reading the field by its descriptor would lose the text that it carries.
  const { [field.localName]: value } = message as Message & Record<string, unknown>;
  const text = carriedTextOf(field, value);
  if (text !== undefined) {
    return text;
  }
  const set = memberOf(writeMessage(schema, message), field);
  const json = set ?? memberOf(writeMessage(schema, create(schema), { alwaysEmitImplicit: true }), field) ?? null;
  return JSON.stringify(json);
}

function memberOf(json: JsonValue, field: DescField): JsonValue | undefined {
  return isObject(json) ? json[field.jsonName] : undefined;
}

function carriedTextOf(field: DescField, value: unknown): JsonText | undefined {
  return field.fieldKind === "message" && field.oneof === undefined ? carriedText(value) : undefined;
}

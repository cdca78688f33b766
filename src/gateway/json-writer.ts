import { create, type DescField, type DescMessage, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { carriedText } from "../domain/json/json-parse.ts";
import { isObject } from "../domain/json/violations.ts";
import type { JsonText } from "../domain/json-text.ts";

/**
 * Writes a message as JSON text. Values that carry their text (google.protobuf.Value and Struct, in fields of the
 * message itself) go in as that text, neither unfolded nor written again; deeper ones are written as any other. A field
 * that cannot be absent is written though it be empty; what can be is `optional` in its proto.
 */
export function writeJson(schema: DescMessage, message: Message): string {
  const spliced: string[] = [];
  // A copy that lacks the spliced fields; protobuf-es offers no way to read or leave out a field by its descriptor.
  const rest = { ...message } as Message & Record<string, unknown>;
  for (const field of schema.fields) {
    const text = carriedTextOf(field, rest[field.localName]);
    if (text === undefined) continue;
    spliced.push(`${JSON.stringify(field.jsonName)}:${text}`);
    delete rest[field.localName];
  }
  const written = JSON.stringify(toJson(schema, rest, { alwaysEmitImplicit: true }));
  if (spliced.length === 0) return written;
  const members = written.slice(1, -1);
  return `{${spliced.join(",")}${members === "" ? "" : `,${members}`}}`;
}

/** Writes one field of a message as a JSON text of its own: the field's default, or null, where it is not set. */
export function writeFieldJson(schema: DescMessage, field: DescField, message: Message): string {
  // protobuf-es offers no way to read a field by its descriptor that leaves a carried text where it is.
  const { [field.localName]: value } = message as Message & Record<string, unknown>;
  const text = carriedTextOf(field, value);
  if (text !== undefined) return text;
  const set = memberOf(toJson(schema, message), field);
  const json = set ?? memberOf(toJson(schema, create(schema), { alwaysEmitImplicit: true }), field) ?? null;
  return JSON.stringify(json);
}

function memberOf(json: JsonValue, field: DescField): JsonValue | undefined {
  return isObject(json) ? json[field.jsonName] : undefined;
}

function carriedTextOf(field: DescField, value: unknown): JsonText | undefined {
  return field.fieldKind === "message" && field.oneof === undefined ? carriedText(value) : undefined;
}

import { create, type DescField, type DescMessage, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { carriedText } from "./json-parse.ts";
import { holdsStructs, writeMessage } from "./json-structs.ts";

import { isObject } from "./violations.ts";

/** How messages are written as JSON in replies: fields with their default are written, unless they are `optional` and not set. */
const options = { alwaysEmitImplicit: true } as const;

/** A field of a message that can carry its text. */
type Carrier = { readonly localName: string; readonly key: string };

/** What is known of a type: the fields that can carry their text, and what makes JSON of the others. */
type Writer = { readonly carriers: readonly Carrier[]; readonly rest: (message: Message) => JsonValue };

const writers = new WeakMap<DescMessage, Writer>();

/**
 * Writes a message as JSON text. A google.protobuf.Value or Struct in a field of the message itself carries its text,
 * which is copied: it is not decoded and encoded again.
 */
export function writeJson(schema: DescMessage, message: Message): string {
  let writer = writers.get(schema);
  if (writer === undefined) {
    writer = writerOf(schema);
    writers.set(schema, writer);
  }
  let spliced = "";
  // A field is read under its name, since protobuf-es would lose the text that the value carries.
  let rest = message as Message & Record<string, unknown>;
  for (const { localName, key } of writer.carriers) {
    const text = carriedText(rest[localName]);
    if (text !== undefined) {
      rest = { ...rest, [localName]: undefined };
      spliced += spliced === "" ? key + text : `,${key}${text}`;
    }
  }
  const written = JSON.stringify(writer.rest(rest));
  if (spliced === "") {
    return written;
  }
  return written === "{}" ? `{${spliced}}` : `{${spliced},${written.slice(1)}`;
}

function writerOf(schema: DescMessage): Writer {
  const carriers = schema.fields
    .filter((field) => field.fieldKind === "message" && field.oneof === undefined)
    .filter(
      ({ message }) => message?.typeName === "google.protobuf.Value" || message?.typeName === "google.protobuf.Struct",
    )
    .map(({ localName, jsonName }) => ({ localName, key: `${JSON.stringify(jsonName)}:` }));
  const write = holdsStructs(schema) ? writeMessage : toJson;
  return { carriers, rest: (message) => write(schema, message, options) };
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

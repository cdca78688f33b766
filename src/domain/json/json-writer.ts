import { create, type DescField, type DescMessage, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { carriedText } from "./json-parse.ts";
import { holdsStructs, isStructField, writeMessage } from "./json-structs.ts";
import { isObject } from "./violations.ts";

/** How messages are written as JSON in replies: fields with their default are written, unless they are `optional` and not set. */
const options = { alwaysEmitImplicit: true } as const;

/**
 * Writes a message as JSON text. A google.protobuf.Value or Struct in a field of the message itself carries its text,
 * which is copied: it is not decoded and encoded again.
 */
export function writeJson(schema: DescMessage, message: Message): string {
  const { fields, write } = planOf(schema);
  let spliced = "";
  // A field is read under its name, since protobuf-es would lose the text that the value carries.
  let rest = message as Message & Record<string, unknown>;
  for (const { localName, jsonName } of fields) {
    const text = carriedText(rest[localName]);
    if (text !== undefined) {
      rest = { ...rest, [localName]: undefined };
      spliced += `${spliced === "" ? "" : ","}${JSON.stringify(jsonName)}:${text}`;
    }
  }
  const written = JSON.stringify(write(schema, rest, options));
  if (spliced === "") {
    return written;
  }
  return written === "{}" ? `{${spliced}}` : `{${spliced},${written.slice(1)}`;
}

/** A field of a message itself whose value is JSON: a google.protobuf.Value, or a Struct, outside of a oneof. */
export type JsonField = {
  readonly localName: string;
  readonly jsonName: string;
  readonly number: number;
  readonly isStruct: boolean;
};

export function jsonFieldsOf(schema: DescMessage): readonly JsonField[] {
  return planOf(schema).fields;
}

/** How the messages of a type are written, which is worked out once. */
type Plan = { readonly fields: readonly JsonField[]; readonly write: typeof writeMessage };

const plans = new WeakMap<DescMessage, Plan>();

function planOf(schema: DescMessage): Plan {
  let plan = plans.get(schema);
  if (plan === undefined) {
    const fields = schema.fields.flatMap((field): readonly JsonField[] => {
      const isStruct = isStructField(field);
      const { localName, jsonName, number } = field;
      return isStruct || isValueField(field) ? [{ localName, jsonName, number, isStruct }] : [];
    });
    plan = { fields, write: holdsStructs(schema) ? writeMessage : toJson };
    plans.set(schema, plan);
  }
  return plan;
}

function isValueField({ fieldKind, oneof, message }: DescField): boolean {
  return fieldKind === "message" && oneof === undefined && message.typeName === "google.protobuf.Value";
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

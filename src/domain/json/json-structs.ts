import {
  create,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonReadOptions,
  type JsonValue,
  type JsonWriteOptions,
  type Message,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { isObject } from "./violations.ts";

/**
 * Reads a message from JSON as `fromJson` does, and keeps the object of each google.protobuf.Struct field as it is.
 *
 * protobuf-es makes a message of each value inside a Struct and then an object of each message: 180 ms for 20,000
 * members, in one step that nothing interrupts. Here such an object is put aside before and put back after.
 */
export function readMessage<Desc extends DescMessage>(
  schema: Desc,
  json: JsonValue,
  options: Partial<JsonReadOptions> = {},
): MessageShape<Desc> {
  if (structFieldsOf(schema).length === 0) {
    return fromJson(schema, json, options);
  }
  const structs: JsonObject[] = [];
  const message = fromJson(schema, withoutStructs(schema, json, structs), options);
  if (structs.length > 0) {
    putStructs(schema, message, structs);
  }
  return message;
}

/** Writes a message as JSON as `toJson` does, and gives the object of each google.protobuf.Struct field as it is. */
export function writeMessage<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  options: Partial<JsonWriteOptions> = {},
): JsonValue {
  if (structFieldsOf(schema).length === 0) {
    return toJson(schema, message, options);
  }
  const structs: JsonObject[] = [];
  // A copy that differs in the objects of Struct fields alone.
  const copy = copyWithoutStructs(schema, message, structs) as MessageShape<Desc>;
  const json = toJson(schema, copy, options);
  return structs.length === 0 ? json : withStructs(schema, json, structs);
}

/** A field of a message itself whose value is JSON: a google.protobuf.Value, or a Struct, outside of a oneof. */
export type JsonField = {
  readonly localName: string;
  readonly jsonName: string;
  readonly number: number;
  readonly isStruct: boolean;
};

const jsonFieldsBySchema = new WeakMap<DescMessage, readonly JsonField[]>();

export function jsonFieldsOf(schema: DescMessage): readonly JsonField[] {
  let fields = jsonFieldsBySchema.get(schema);
  if (fields === undefined) {
    fields = schema.fields
      .filter((field) => isStructField(field) || isValueField(field))
      .map((field) => ({
        localName: field.localName,
        jsonName: field.jsonName,
        number: field.number,
        isStruct: isStructField(field),
      }));
    jsonFieldsBySchema.set(schema, fields);
  }
  return fields;
}

function isValueField({ fieldKind, oneof, message }: DescField): boolean {
  return fieldKind === "message" && oneof === undefined && message.typeName === "google.protobuf.Value";
}

/** The JSON of a message with its Struct objects put aside, in which faults of the rest are looked for. */
export function jsonWithoutStructs(schema: DescMessage, json: JsonValue): JsonValue {
  return structFieldsOf(schema).length === 0 ? json : withoutStructs(schema, json, []);
}

/** Stands in a Struct for the object that was put aside. No name of a request's has a NUL: the scanners refuse it. */
export const structMark = "\0";

/** The fields of each message that are Structs, or messages that have such fields somewhere inside. */
const fieldsBySchema = new WeakMap<DescMessage, readonly DescField[]>();

function structFieldsOf(schema: DescMessage): readonly DescField[] {
  let fields = fieldsBySchema.get(schema);
  if (fields === undefined) {
    fields = schema.fields.filter((field) => isStructField(field) || leadsToStruct(field.message, new Set([schema])));
    fieldsBySchema.set(schema, fields);
  }
  return fields;
}

function leadsToStruct(schema: DescMessage | undefined, seen: Set<DescMessage>): boolean {
  if (schema === undefined || seen.has(schema) || schema.typeName.startsWith("google.protobuf.")) {
    return false;
  }
  seen.add(schema);
  return schema.fields.some((field) => isStructField(field) || leadsToStruct(field.message, seen));
}

/** Whether a field is a Struct that a message of ours holds as an object, and not in a oneof, a list or a map. */
export function isStructField(field: DescField): boolean {
  return (
    field.fieldKind === "message" && field.oneof === undefined && field.message.typeName === "google.protobuf.Struct"
  );
}

/** Copies only what leads to a Struct. */
function withoutStructs(schema: DescMessage, json: JsonValue, structs: JsonObject[]): JsonValue {
  return mapMembers(schema, json, (field, value) => {
    if (!isStructField(field)) {
      return mapMessages(field, value, (inner, part) => withoutStructs(inner, part, structs));
    }
    if (!isObject(value)) {
      return value;
    }
    structs.push(value);
    return { [structMark]: structs.length - 1 };
  });
}

function withStructs(schema: DescMessage, json: JsonValue, structs: readonly JsonObject[]): JsonValue {
  return mapMembers(schema, json, (field, value) => {
    if (!isStructField(field)) {
      return mapMessages(field, value, (inner, part) => withStructs(inner, part, structs));
    }
    return structAt(value, structs) ?? value;
  });
}

function mapMembers(
  schema: DescMessage,
  json: JsonValue,
  map: (field: DescField, value: JsonValue) => JsonValue,
): JsonValue {
  if (!isObject(json)) {
    return json;
  }
  let copy: JsonObject | undefined;
  for (const field of structFieldsOf(schema)) {
    for (const name of new Set([field.name, field.jsonName])) {
      const value = json[name];
      if (value === undefined) {
        continue;
      }
      const mapped = map(field, value);
      if (mapped === value) {
        continue;
      }
      copy ??= { ...json };
      copy[name] = mapped;
    }
  }
  return copy ?? json;
}

/** Maps the JSON of the messages that a field holds: of one, of each in a list, or of each in a map. */
function mapMessages(
  field: DescField,
  value: JsonValue,
  map: (schema: DescMessage, json: JsonValue) => JsonValue,
): JsonValue {
  const { message } = field;
  if (message === undefined) {
    return value;
  }
  if (field.fieldKind === "message") {
    return map(message, value);
  }
  if (field.fieldKind === "list") {
    return Array.isArray(value) ? value.map((item) => map(message, item)) : value;
  }
  return isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([name, item]) => [name, map(message, item)]))
    : value;
}

function structAt(value: unknown, structs: readonly JsonObject[]): JsonObject | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, structMark)) {
    return undefined;
  }
  // Nothing but this file writes under this name, and it writes a number.
  return structs[(value as { readonly [structMark]: number })[structMark]];
}

/** protobuf-es offers no way to reach a field by its descriptor that leaves the object of a Struct as it is. */
type Fields = Record<string, unknown>;

/** Puts objects in the place of the Structs that hold the mark with their index. */
export function putStructs(schema: DescMessage, message: Message, structs: readonly JsonObject[]): void {
  const fields = message as Message & Fields;
  for (const field of structFieldsOf(schema)) {
    if (isStructField(field)) {
      const struct = structAt(fields[field.localName], structs);
      if (struct !== undefined) {
        fields[field.localName] = struct;
      }
    } else if (field.message !== undefined) {
      for (const inner of messagesIn(field, fields)) {
        putStructs(field.message, inner, structs);
      }
    }
  }
}

function copyWithoutStructs(schema: DescMessage, message: Message, structs: JsonObject[]): Message {
  const copy = Object.assign(create(schema), message) as Message & Fields;
  for (const field of structFieldsOf(schema)) {
    const { message: inner, localName } = field;
    const value = copy[localName];
    if (isStructField(field)) {
      if (value === undefined) {
        continue;
      }
      // A singular Struct field holds an object of JSON.
      structs.push(value as JsonObject);
      copy[localName] = { [structMark]: structs.length - 1 };
    } else if (inner !== undefined) {
      const parts = messagesIn(field, copy);
      if (parts.length === 0) {
        continue;
      }
      const copies = parts.map((part) => copyWithoutStructs(inner, part, structs));
      setMessages(field, copy, copies);
    }
  }
  return copy;
}

/** The messages that a field of a message holds, in the order of a list or a map. */
function messagesIn(field: DescField, fields: Fields): readonly Message[] {
  // The descriptor says what a field holds.
  if (field.fieldKind === "list") {
    return fields[field.localName] as readonly Message[];
  }
  if (field.fieldKind === "map") {
    return Object.values(fields[field.localName] as Record<string, Message>);
  }
  if (field.oneof === undefined) {
    const value = fields[field.localName] as Message | undefined;
    return value === undefined ? [] : [value];
  }
  const chosen = fields[field.oneof.localName] as { readonly case?: string; readonly value?: Message };
  return chosen.case === field.localName && chosen.value !== undefined ? [chosen.value] : [];
}

function setMessages(field: DescField, fields: Fields, messages: readonly Message[]): void {
  if (field.fieldKind === "list") {
    fields[field.localName] = messages;
  } else if (field.fieldKind === "map") {
    const names = Object.keys(fields[field.localName] as Record<string, Message>);
    fields[field.localName] = Object.fromEntries(names.map((name, index) => [name, messages[index]]));
  } else if (field.oneof === undefined) {
    fields[field.localName] = messages[0];
  } else {
    fields[field.oneof.localName] = { case: field.localName, value: messages[0] };
  }
}

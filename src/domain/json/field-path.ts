import { type DescField, type DescMessage, getOption, hasOption, ScalarType } from "@bufbuild/protobuf";
import { header } from "../../gen/flowcall/v1/options_pb.ts";

/** The path from a message to a field of it or of a message inside it. */
export type FieldPath = { readonly name: string; readonly fields: readonly DescField[]; readonly leaf: DescField };

/**
 * Follows names through singular message fields to a field that one text, or a list of texts, can fill; undefined where
 * there is none.
 */
export function fieldPath(message: DescMessage, names: readonly string[]): FieldPath | undefined {
  const fields: DescField[] = [];
  let inside: DescMessage | undefined = message;
  for (const name of names) {
    const field: DescField | undefined = inside === undefined ? undefined : fieldByName(inside, name);
    if (field === undefined) {
      return undefined;
    }
    fields.push(field);
    inside = field.fieldKind === "message" && !isWrittenAsText(field) ? field.message : undefined;
  }
  const leaf = fields.at(-1);
  if (leaf === undefined || !isTextual(leaf)) {
    return undefined;
  }
  return { name: fields.map((field) => field.name).join("."), fields, leaf };
}

export function fieldByName(message: DescMessage, name: string): DescField | undefined {
  return message.fields.find((field) => field.name === name || field.jsonName === name);
}

/** The request header that fills a field, by the field's own option. */
export function headerOf(field: DescField): string | undefined {
  return hasOption(field, header) ? getOption(field, header).name : undefined;
}

/** Whether one text can be a value of the field. */
export function isTextual(field: DescField): boolean {
  switch (field.fieldKind) {
    case "scalar":
    case "enum":
      return true;
    case "message":
      return isWrittenAsText(field);
    case "list":
      return field.listKind !== "message" || isWrittenAsText(field);
    case "map":
      return false;
  }
}

/** The expected value, as a phrase behind the field's name. */
export function expectedOf(field: DescField): string {
  switch (field.fieldKind) {
    case "list":
      return `must be an array, each item of which ${singularExpected(field)}`;
    case "map":
      return `must be a JSON object, each member of which ${singularExpected(field)}`;
    default:
      return singularExpected(field);
  }
}

/** The expected value of one item of a list or map. */
export function singularExpected(field: DescField): string {
  if (field.enum !== undefined) {
    const names = field.enum.values.filter((value) => value.number !== 0 || field.enum.values.length === 1);
    return `must be one of ${names.map((value) => value.name).join(", ")}`;
  }
  if (field.message !== undefined) {
    return messageExpected[field.message.typeName] ?? "must be a JSON object";
  }
  return field.scalar === undefined ? "must be another value" : scalarExpected[field.scalar];
}

export function isTimestamp({ fieldKind, message }: DescField): boolean {
  return fieldKind === "message" && message.typeName === "google.protobuf.Timestamp";
}

function isWrittenAsText(field: DescField): boolean {
  return field.message !== undefined && textMessages.includes(field.message.typeName);
}

/** Messages whose JSON is a string. */
const textMessages: readonly string[] = [
  "google.protobuf.Timestamp",
  "google.protobuf.Duration",
  "google.protobuf.FieldMask",
];

const messageExpected: Readonly<Record<string, string>> = {
  "google.protobuf.Timestamp": "must be a time as RFC 3339 writes it, such as 2026-01-31T12:00:00Z",
  "google.protobuf.Duration": "must be a number of seconds with an s, such as 1.5s",
  "google.protobuf.FieldMask": "must be field names in lowerCamelCase, separated by commas",
  "google.protobuf.ListValue": "must be an array",
  "google.protobuf.Value": "must be a JSON value",
};

const int32 = "must be a whole number from -2147483648 to 2147483647";
const uint32 = "must be a whole number from 0 to 4294967295";
const int64 = "must be a whole number from -9223372036854775808 to 9223372036854775807";
const uint64 = "must be a whole number from 0 to 18446744073709551615";

const scalarExpected: Readonly<Record<ScalarType, string>> = {
  [ScalarType.STRING]: "must be a string",
  [ScalarType.BOOL]: "must be true or false",
  [ScalarType.BYTES]: "must be bytes in base64",
  [ScalarType.DOUBLE]: "must be a number",
  [ScalarType.FLOAT]: "must be a number in the range of a float",
  [ScalarType.INT32]: int32,
  [ScalarType.SINT32]: int32,
  [ScalarType.SFIXED32]: int32,
  [ScalarType.UINT32]: uint32,
  [ScalarType.FIXED32]: uint32,
  [ScalarType.INT64]: int64,
  [ScalarType.SINT64]: int64,
  [ScalarType.SFIXED64]: int64,
  [ScalarType.UINT64]: uint64,
  [ScalarType.FIXED64]: uint64,
};

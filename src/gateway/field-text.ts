import {
  type DescField,
  type DescMessage,
  type JsonValue,
  type Message,
  mergeFromJson,
  ScalarType,
} from "@bufbuild/protobuf";
import { isDateTime } from "../domain/json/day.ts";
import { type FieldPath, isTimestamp, singularExpected } from "../domain/json/field-path.ts";
import type { FieldViolation } from "../domain/request-error.ts";

/** A message whose fields are set from text. */
export type TextTarget = { readonly schema: DescMessage; readonly message: Message };

/**
 * Sets a field from the text of a path variable or a query parameter; a list field gets one more item. Answers what is
 * wrong with the text, and then leaves the message as it is.
 */
export function setFromText(target: TextTarget, path: FieldPath, text: string): FieldViolation | undefined {
  if (text.includes("\0")) {
    return { field: path.name, description: "must not contain the character NUL (%00)" };
  }
  const value = jsonOfText(path.leaf, text);
  const isSet = value !== undefined && merges(target, nested(path, value));
  return isSet ? undefined : { field: path.name, description: singularExpected(path.leaf) };
}

/** The JSON of a message in which only this field is set. */
function nested({ leaf, fields }: FieldPath, value: JsonValue): JsonValue {
  const innermost = leaf.fieldKind === "list" ? [value] : value;
  return fields.reduceRight<JsonValue>((inner, field) => ({ [field.name]: inner }), innermost);
}

function merges(target: TextTarget, json: JsonValue): boolean {
  try {
    mergeFromJson(target.schema, target.message, json);
    return true;
  } catch {
    return false;
  }
}

/** The JSON value that a text means for this field; undefined where it has none. */
function jsonOfText(field: DescField, text: string): JsonValue | undefined {
  if (field.enum !== undefined) {
    const known = field.enum.values.find((value) => value.name === text || String(value.number) === text);
    return known?.number;
  }
  switch (field.scalar) {
    case undefined: // A message that JSON writes as a string, such as a timestamp.
      return isTimestamp(field) && !isDateTime(text) ? undefined : text;
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return text;
    case ScalarType.BOOL:
      return text === "true" ? true : text === "false" ? false : undefined;
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return /^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(text) ? text : undefined;
    default:
      return /^-?[0-9]{1,20}$/.test(text) ? text : undefined;
  }
}

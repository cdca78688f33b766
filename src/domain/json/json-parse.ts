import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { checkJson } from "./json-check.ts";
import { rootRefused } from "./json-refusal.ts";
import type { JsonRules } from "./json-rules.ts";
import type { JsonText } from "./json-text.ts";

/**
 * Under this symbol an object carries the text that it was parsed from. The property is not enumerable, so a copy of the
 * object, which may be changed, does not carry it.
 */
const carried = Symbol("JSON text");

/**
 * Parses text into a value that carries it, so that the value is not written out again for a column or a reply. The value
 * must not be changed. A scalar cannot carry its text.
 */
export function parseJson(text: JsonText): JsonValue {
  const value: JsonValue = JSON.parse(text);
  if (typeof value === "object" && value !== null) {
    carryText(value, text);
  }
  return value;
}

/** The text that a value carries, else one that is written and checked now. Throws as `checkJson` does. */
export function jsonTextOf(value: JsonValue, rules: JsonRules): JsonText {
  const text = carriedText(value);
  if (text === undefined) {
    return checkJson(value, rules);
  }
  if (rules.root === "object" && Array.isArray(value)) {
    throw rootRefused({ path: rules.name });
  }
  return text;
}

/** Attaches its text to an object. */
export function carryText(value: object, text: JsonText): void {
  Object.defineProperty(value, carried, { value: text });
}

/** The text that a value carries; undefined where it carries none. */
export function carriedText(value: unknown): JsonText | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, carried)) {
    return undefined;
  }
  // Only `carryText` writes under this symbol, and it takes a JsonText.
  return (value as { readonly [carried]: JsonText })[carried];
}

/** JSON's null as a text. */
const nullText = "null" as JsonText;

/**
 * A lazy google.protobuf.Value for JSON text, or for null. JSON copies the text that it carries; the text is decoded into
 * messages only when another encoder reads `kind`.
 */
export function valueMessage(text: JsonText = nullText): Value {
  let kind: Value["kind"] | undefined;
  const message: Value = {
    $typeName: ValueSchema.typeName,
    get kind() {
      kind ??= fromJson(ValueSchema, JSON.parse(text)).kind;
      return kind;
    },
  };
  carryText(message, text);
  return message;
}

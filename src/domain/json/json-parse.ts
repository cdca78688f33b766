import type { JsonValue } from "@bufbuild/protobuf";
import type { JsonText } from "../json-text.ts";
import { checkJson } from "./json-check.ts";
import { rootRefused } from "./json-refusal.ts";
import type { JsonRules } from "./json-rules.ts";

/**
 * Under this symbol an object carries the text that it was parsed from. It is not enumerable: a spread, an
 * Object.assign or a clone is another value and does not take the text along.
 */
const carried = Symbol("JSON text");

/**
 * Parses text into a value that remembers it, so that the value need not be written out again on its way to a column
 * or a reply. The value is not to be changed; scalars have nothing to remember with.
 */
export function parseJson(text: JsonText): JsonValue {
  const value: JsonValue = JSON.parse(text);
  if (typeof value === "object" && value !== null) carryText(value, text);
  return value;
}

/** The text of a value: the one that it carries, else one that is written and checked now. Throws as `checkJson`. */
export function jsonTextOf(value: JsonValue, rules: JsonRules): JsonText {
  const text = carriedText(value);
  if (text === undefined) return checkJson(value, rules);
  if (rules.root === "object" && Array.isArray(value)) throw rootRefused({ path: rules.name });
  return text;
}

/** Makes an object carry its text. */
export function carryText(value: object, text: JsonText): void {
  Object.defineProperty(value, carried, { value: text });
}

/** The text that a value carries, if it does. */
export function carriedText(value: unknown): JsonText | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, carried)) return undefined;
  // Nothing but `carryText` writes under this symbol, and it takes a JsonText.
  return (value as { readonly [carried]: JsonText })[carried];
}

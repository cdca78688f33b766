import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { RE2JS } from "re2js";
import { isObject } from "../../domain/json/violations.ts";
import { canonicalText } from "./json-values.ts";
import type { Keyword } from "./keyword.ts";
import { type Schema, type SchemaEvaluation, shortText } from "./schema-validation.ts";

/** Compiles a keyword that limits the number of something. */
export function count<Value>(
  keyword: Keyword,
  isWithin: (value: Value, limit: number, at: SchemaEvaluation) => boolean,
  words: string,
  unit: string,
) {
  const limit = wholeNumber(keyword, keyword.value);
  if (limit === undefined) {
    return undefined;
  }
  return (value: Value, at: SchemaEvaluation) =>
    isWithin(value, limit, at) || at.violation(keyword.name, () => `${words} ${limit} ${unit}`);
}

export function compilePattern(keyword: Keyword, pattern: JsonValue): RE2JS | undefined {
  if (typeof pattern !== "string") {
    return keyword.error("Must be a regular expression.");
  }
  try {
    return keyword.regex(pattern);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return keyword.error(`${JSON.stringify(shortText(pattern))} cannot be used: ${shortText(why)}.`);
  }
}

export function isMatch(regex: RE2JS, text: string, at: SchemaEvaluation): boolean {
  at.run.spend((text.length + 1) * regex.programSize());
  return regex.matcher(text).find();
}

/** Reading or copying this many characters of a text is a unit of work. */
const charsOfUnit = 8;

export function spendChars(length: number, at: SchemaEvaluation): void {
  at.run.spend(1 + Math.trunc(length / charsOfUnit));
}

/** Serialising one value, and looking it up, takes as long as four simpler steps. */
const workOfPart = 4;

/** The canonical text of a value. Each part is charged before it is written. */
export function spendText(value: JsonValue, at: SchemaEvaluation): string {
  return canonicalText(value, (length) => {
    at.run.spend(workOfPart);
    spendChars(length, at);
  });
}

/** The number of schemas that match. All are applied, because each may mark members or items as evaluated. */
export function matchCount(schemas: readonly Schema[], value: JsonValue, at: SchemaEvaluation): number {
  return schemas.filter((schema) => at.testInPlace(schema, value)).length;
}

/** Compiles the schemas of `allOf`, `anyOf` or `oneOf`. */
export function branches(keyword: Keyword): readonly Schema[] {
  const jsons = list(keyword);
  if (jsons.length === 0) {
    keyword.error("Must have at least one schema.");
  }
  return jsons.map((json, index) => keyword.inPlace(json, [index]));
}

export function list(keyword: Keyword): readonly JsonValue[] {
  if (Array.isArray(keyword.value)) {
    return keyword.value;
  }
  keyword.error("Must be an array.");
  return [];
}

export function textList(keyword: Keyword): readonly string[] {
  const items = list(keyword);
  const texts = items.filter((item) => typeof item === "string");
  if (texts.length < items.length) {
    keyword.error("Must be an array of texts.");
  }
  return texts;
}

export function map(keyword: Keyword): JsonObject {
  if (isObject(keyword.value)) {
    return keyword.value;
  }
  keyword.error("Must be an object.");
  return {};
}

export function wholeNumber(keyword: Keyword, value: JsonValue): number | undefined {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) {
    return value;
  }
  return keyword.error("Must be a whole number from 0.");
}

/** Like `every`, but does not stop early where violations are reported. Each item is a unit of work. */
export function all<Item>(at: SchemaEvaluation, items: Iterable<Item>, holds: (item: Item) => boolean): boolean {
  let isEach = true;
  for (const item of items) {
    at.run.spend(1);
    isEach = holds(item) && isEach;
    if (!isEach && at.run.isTrial) {
      break;
    }
  }
  return isEach;
}

/** The same for the items of an array from one index to another. */
export function allItems(
  at: SchemaEvaluation,
  {
    items,
    from = 0,
    to = items.length,
  }: { readonly items: readonly JsonValue[]; readonly from?: number; readonly to?: number },
  holds: (item: JsonValue, index: number) => boolean,
): boolean {
  let isEach = true;
  for (let index = from; index < to; index += 1) {
    at.run.spend(1);
    isEach = holds(items[index] ?? null, index) && isEach;
    if (!isEach && at.run.isTrial) {
      break;
    }
  }
  return isEach;
}

/** The entries of an object. Making the list takes as long as four steps for each member. */
export function entriesOf(members: JsonObject, at: SchemaEvaluation): readonly (readonly [string, JsonValue])[] {
  const entries = Object.entries(members);
  at.run.spend(entries.length * 4);
  return entries;
}

export function memberCount(members: JsonObject, at: SchemaEvaluation): number {
  const { length } = Object.keys(members);
  at.run.spend(length * 2);
  return length;
}

/** Whether a text has at least this many code points, which are one or two code units each. The text is not copied. */
export function hasLength(text: string, limit: number, at: SchemaEvaluation): boolean {
  if (text.length < limit) {
    return false;
  }
  if (text.length >= limit * 2) {
    return true;
  }
  spendChars(text.length, at);
  let length = 0;
  for (let index = 0; index < text.length && length < limit; index += 1) {
    const unit = text.charCodeAt(index);
    // A high and a low surrogate are one code point.
    if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(index + 1))) {
      index += 1;
    }
    length += 1;
  }
  return length >= limit;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

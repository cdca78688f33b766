import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { RE2JS } from "re2js";
import { isObject } from "../../domain/json/violations.ts";
import { canonicalText } from "./json-values.ts";
import type { Keyword } from "./keyword.ts";
import { type Schema, shortText, type Visit } from "./schema-validation.ts";

/** Compiles a keyword that bounds how many there are of something. */
export function count<Value>(
  keyword: Keyword,
  isWithin: (value: Value, limit: number, at: Visit) => boolean,
  told: string,
  unit: string,
) {
  const limit = wholeNumber(keyword, keyword.value);
  if (limit === undefined) return undefined;
  return (value: Value, at: Visit) =>
    isWithin(value, limit, at) || at.breach(keyword.name, () => `${told} ${limit} ${unit}`);
}

export function compilePattern(keyword: Keyword, pattern: JsonValue): RE2JS | undefined {
  if (typeof pattern !== "string") return keyword.error("Must be a regular expression.");
  try {
    return keyword.regex(pattern);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return keyword.error(`${JSON.stringify(shortText(pattern))} cannot be used: ${shortText(why)}.`);
  }
}

export function isMatch(regex: RE2JS, text: string, at: Visit): boolean {
  at.run.spend((text.length + 1) * regex.programSize());
  return regex.matcher(text).find();
}

/** How many characters are a unit of work where all that is done with a text is to read or to copy it. */
const charsOfUnit = 8;

export function spendChars(length: number, at: Visit): void {
  at.run.spend(1 + Math.trunc(length / charsOfUnit));
}

/** To write one value as text, and to look that up, takes as long as some simpler steps. */
const workOfPart = 4;

/** The canonical text of a value, which is charged part by part while it is written. */
export function spendText(value: JsonValue, at: Visit): string {
  return canonicalText(value, (length) => {
    at.run.spend(workOfPart);
    spendChars(length, at);
  });
}

/** How many of the schemas hold. All are looked at, for what they have evaluated. */
export function counted(schemas: readonly Schema[], value: JsonValue, at: Visit): number {
  return schemas.filter((schema) => at.maybe(schema, value)).length;
}

export function branches(keyword: Keyword): readonly Schema[] {
  const jsons = list(keyword);
  if (jsons.length === 0) keyword.error("Must have at least one schema.");
  return jsons.map((json, index) => keyword.inPlace(json, [index]));
}

export function list(keyword: Keyword): readonly JsonValue[] {
  if (Array.isArray(keyword.value)) return keyword.value;
  keyword.error("Must be an array.");
  return [];
}

export function textList(keyword: Keyword): readonly string[] {
  const items = list(keyword);
  const texts = items.filter((item) => typeof item === "string");
  if (texts.length < items.length) keyword.error("Must be an array of texts.");
  return texts;
}

export function map(keyword: Keyword): JsonObject {
  if (isObject(keyword.value)) return keyword.value;
  keyword.error("Must be an object.");
  return {};
}

export function wholeNumber(keyword: Keyword, value: JsonValue): number | undefined {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  return keyword.error("Must be a whole number from 0.");
}

/** Like `every`, but comes to the end where breaches are told. Each item is a unit of work. */
export function all<Item>(at: Visit, items: Iterable<Item>, holds: (item: Item) => boolean): boolean {
  let isEach = true;
  for (const item of items) {
    at.run.spend(1);
    isEach = holds(item) && isEach;
    if (!isEach && at.run.isTrial) break;
  }
  return isEach;
}

/** The same for the items of an array from an index to another. */
export function allItems(
  at: Visit,
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
    if (!isEach && at.run.isTrial) break;
  }
  return isEach;
}

/** A list of an object's members is made anew each time, and takes longer than to look at one. */
export function entriesOf(members: JsonObject, at: Visit): readonly (readonly [string, JsonValue])[] {
  const entries = Object.entries(members);
  at.run.spend(entries.length * 4);
  return entries;
}

export function memberCount(members: JsonObject, at: Visit): number {
  const { length } = Object.keys(members);
  at.run.spend(length * 2);
  return length;
}

/** Whether a text has at least so many characters, which are one or two code units each. They are not copied. */
export function hasLength(text: string, limit: number, at: Visit): boolean {
  if (text.length < limit) return false;
  if (text.length >= limit * 2) return true;
  spendChars(text.length, at);
  let length = 0;
  for (let index = 0; index < text.length && length < limit; index += 1) {
    const unit = text.charCodeAt(index);
    // A high surrogate before a low one is one character with it.
    if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(index + 1))) index += 1;
    length += 1;
  }
  return length >= limit;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { RE2JS } from "re2js";
import { isObject } from "../../domain/violations.ts";
import { compileRegex } from "../query/regex-engine.ts";
import type { Keyword } from "./compile-schema.ts";
import { canonicalText } from "./json-values.ts";
import type { Schema, Visit } from "./schema-run.ts";

export function count<Value>(
  keyword: Keyword,
  measure: (value: Value) => number,
  holds: (size: number, limit: number) => boolean,
  told: string,
  unit: string,
) {
  const limit = wholeNumber(keyword, keyword.value);
  if (limit === undefined) return undefined;
  return (value: Value, at: Visit) =>
    holds(measure(value), limit) || at.breach(keyword.name, `${told} ${limit} ${unit}`);
}

export function compilePattern(keyword: Keyword, pattern: JsonValue): RE2JS | undefined {
  if (typeof pattern !== "string") return keyword.error("Must be a regular expression.");
  try {
    return compileRegex(new RegExp(pattern, "u"));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return keyword.error(
      `${JSON.stringify(pattern)} cannot be used: ${why}. Lookaround and backreferences are not taken.`,
    );
  }
}

export function isMatch(regex: RE2JS, text: string, at: Visit): boolean {
  at.run.spend(text.length * regex.programSize());
  return regex.matcher(text).find();
}

export function spendText(value: JsonValue, at: Visit): string {
  const text = canonicalText(value);
  at.run.spend(text.length);
  return text;
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

/** Like `every`, but comes to the end, so that each breach is told. */
export function all<Item>(items: readonly Item[], holds: (item: Item, index: number) => boolean): boolean {
  return items.reduce<boolean>((so, item, index) => holds(item, index) && so, true);
}

export const sizeOf = (items: JsonValue[]) => items.length;
export const memberCount = (members: JsonObject) => Object.keys(members).length;
/** In characters, not in code units. */
export const lengthOf = (text: string) => [...text].length;

import type { JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";

export function typeOf(value: JsonValue): "null" | "boolean" | "number" | "string" | "array" | "object" {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  const type = typeof value;
  return type === "boolean" || type === "number" || type === "string" ? type : "object";
}

/**
 * One text for all values that are equal: without the order of members.
 *
 * @param spend told of each value and of the characters in it before they are joined, so that it can stop what is too much
 */
export function canonicalText(value: JsonValue, spend: (length: number) => void = () => undefined): string {
  if (Array.isArray(value)) {
    spend(0);
    return `[${value.map((item) => canonicalText(item, spend)).join(",")}]`;
  }
  if (!isObject(value)) {
    spend(typeof value === "string" ? value.length : 0);
    return JSON.stringify(value === 0 ? 0 : value);
  }
  const names = Object.keys(value);
  // A sort compares each name with some others.
  for (const name of names) spend(name.length * 2);
  spend(0);
  const members = names.sort().map((name) => `${JSON.stringify(name)}:${canonicalText(value[name] ?? null, spend)}`);
  return `{${members.join(",")}}`;
}

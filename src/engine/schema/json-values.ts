import type { JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";

/** The type of a value in JSON Schema, where an integer is a number. */
export function typeOf(value: JsonValue): "null" | "boolean" | "number" | "string" | "array" | "object" {
  if (value === null) {
    return "null";
  }
  if (Array.isArray(value)) {
    return "array";
  }
  const type = typeof value;
  return type === "boolean" || type === "number" || type === "string" ? type : "object";
}

/**
 * The canonical JSON of a value: equal values have equal texts, whatever the order of their members.
 *
 * @param spend called for each value with its number of characters, before they are joined; it may throw to stop
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
  // A sort compares each name several times.
  for (const name of names) {
    spend(name.length * 2);
  }
  spend(0);
  const members = names.sort().map((name) => `${JSON.stringify(name)}:${canonicalText(value[name] ?? null, spend)}`);
  return `{${members.join(",")}}`;
}

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";
import { typeOf } from "./json-values.ts";

/** Derives a schema that a sample satisfies: its members with their types, all required. A null stands for any value. */
export function deriveSchemaOf(sample: JsonObject): JsonObject {
  return { $schema: "https://json-schema.org/draft/2020-12/schema", ...derive([sample]) };
}

/** Derives a schema that all values satisfy. A member that some of them lack is not required. */
function derive(values: readonly JsonValue[]): JsonObject {
  const types = [...new Set(values.map(typeOf))];
  if (types.length === 0 || types.includes("null")) {
    return {};
  }
  const objects = values.filter(isObject);
  const items = values.filter((value) => Array.isArray(value)).flat();
  // One pass collects all members, because a sample may have as many names as objects.
  const having = new Map<string, JsonValue[]>();
  for (const [name, value] of objects.flatMap((object) => Object.entries(object))) {
    const values = having.get(name);
    if (values === undefined) {
      having.set(name, [value]);
    } else {
      values.push(value);
    }
  }
  const required = [...having].filter(([, { length }]) => length === objects.length).map(([name]) => name);
  const members = [...having].map(([name, values]) => [name, derive(values)]);
  return {
    type: types.length === 1 ? (types[0] ?? "object") : types,
    ...(members.length > 0 && { properties: Object.fromEntries(members) }),
    ...(required.length > 0 && { required }),
    ...(items.length > 0 && { items: derive(items) }),
  };
}

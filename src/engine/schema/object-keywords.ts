import type { JsonObject } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";
import type { Keyword } from "./keyword.ts";
import { all, compilePattern, count, entriesOf, isMatch, map, memberCount, textList } from "./keyword-parts.ts";
import { type Compile, forObject } from "./keyword-types.ts";
import { type SchemaEvaluation, shortText } from "./schema-validation.ts";

/** The keywords of objects, except for those that depend on others. */
export const objectKeywords: Readonly<Record<string, Compile>> = {
  required: forObject((keyword) => {
    const names = new Set(textList(keyword));
    return (members, at) =>
      all(
        at,
        names,
        (name) => has(members, name) || at.violation("required", () => `must have the member ${shown(name)}`),
      );
  }),
  dependentRequired: forObject((keyword) => {
    const rules = Object.entries(map(keyword)).map(
      ([name, needed]) => [name, new Set(Array.isArray(needed) ? needed.map(String) : [])] as const,
    );
    return (members, at) =>
      all(
        at,
        rules,
        ([name, needed]) =>
          !has(members, name) ||
          all(at, needed, (other) => {
            const describe = () => `must have the member ${shown(other)}, since it has ${shown(name)}`;
            return has(members, other) || at.violation("dependentRequired", describe);
          }),
      );
  }),
  properties: forObject((keyword) => {
    const schemas = Object.entries(map(keyword)).map(([name, json]) => [name, keyword.schema(json, [name])] as const);
    return (members, at) =>
      all(at, schemas, ([name, schema]) => {
        const member = has(members, name) ? members[name] : undefined;
        return member === undefined || at.applyToChild(schema, member, name);
      });
  }),
  patternProperties: forObject((keyword) => {
    const schemas = Object.entries(map(keyword)).flatMap(([pattern, json]) => {
      const regex = compilePattern(keyword, pattern);
      return regex === undefined ? [] : [{ regex, schema: keyword.schema(json, [pattern]) }];
    });
    return (members, at) =>
      all(at, entriesOf(members, at), ([name, member]) =>
        all(at, schemas, ({ regex, schema }) => !isMatch(regex, name, at) || at.applyToChild(schema, member, name)),
      );
  }),
  additionalProperties: forObject(compileAdditional),
  propertyNames: forObject((keyword) => {
    const schema = keyword.schema(keyword.value, []);
    return (members, at) =>
      all(
        at,
        Object.keys(members),
        (name) =>
          at.matches(schema, name) ||
          at.violation("propertyNames", () => `must not have a member of the name ${shown(name)}`),
      );
  }),
  minProperties: forObject((keyword) =>
    count(keyword, (members, limit, at) => memberCount(members, at) >= limit, "must have at least", "members"),
  ),
  maxProperties: forObject((keyword) =>
    count(keyword, (members, limit, at) => memberCount(members, at) <= limit, "must have at most", "members"),
  ),
};

function compileAdditional(keyword: Keyword) {
  const { properties, patternProperties } = keyword.owner;
  const schema = keyword.schema(keyword.value, []);
  const names = new Set(isObject(properties) ? Object.keys(properties) : []);
  const regexes = isObject(patternProperties) ? Object.keys(patternProperties) : [];
  // `patternProperties` reports invalid patterns.
  const patterns = regexes.flatMap((pattern) => compilePattern({ ...keyword, error: () => undefined }, pattern) ?? []);
  return (members: JsonObject, at: SchemaEvaluation) =>
    all(at, entriesOf(members, at), ([name, member]) => {
      if (names.has(name) || patterns.some((regex) => isMatch(regex, name, at))) {
        return true;
      }
      if (keyword.value !== false) {
        return at.applyToChild(schema, member, name);
      }
      return at.violation("additionalProperties", () => `must not have the member ${shown(name)}`);
    });
}

function has(members: JsonObject, name: string): boolean {
  return Object.hasOwn(members, name);
}

function shown(name: string): string {
  return JSON.stringify(shortText(name));
}

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/violations.ts";
import type { Keyword } from "./compile-schema.ts";
import { canonicalText, isMultipleOf, typeOf } from "./json-values.ts";
import {
  all,
  branches,
  compilePattern,
  count,
  counted,
  isMatch,
  lengthOf,
  list,
  map,
  memberCount,
  sizeOf,
  spendText,
  textList,
  wholeNumber,
} from "./keyword-parts.ts";
import type { Check, Visit } from "./schema-run.ts";

type Compile = (keyword: Keyword) => Check | undefined;

/** Compiles a keyword that is about one type of value; values of other types pass. */
const forNumber = (compile: (keyword: Keyword) => ((value: number, at: Visit) => boolean) | undefined): Compile =>
  forType(compile, (value) => typeof value === "number");
const forText = (compile: (keyword: Keyword) => ((value: string, at: Visit) => boolean) | undefined): Compile =>
  forType(compile, (value) => typeof value === "string");
const forArray = (compile: (keyword: Keyword) => ((value: JsonValue[], at: Visit) => boolean) | undefined): Compile =>
  forType(compile, (value) => Array.isArray(value));
const forObject = (compile: (keyword: Keyword) => ((value: JsonObject, at: Visit) => boolean) | undefined): Compile =>
  forType(compile, isObject);

function forType<Value extends JsonValue>(
  compile: (keyword: Keyword) => ((value: Value, at: Visit) => boolean) | undefined,
  isOne: (value: JsonValue) => boolean,
): Compile {
  return (keyword) => {
    const check = compile(keyword);
    // `isOne` has just said that the value is of the type.
    return check && ((value, at) => !isOne(value) || check(value as Value, at));
  };
}

/** How each keyword is compiled. Values are checked in this order: what is unevaluated is known at the end. */
export const keywords: Readonly<Record<string, Compile>> = {
  type: compileType,
  enum: (keyword) =>
    Array.isArray(keyword.value) ? oneOf(keyword, keyword.value) : keyword.error("Must be an array."),
  const: (keyword) => oneOf(keyword, [keyword.value]),

  multipleOf: forNumber((keyword) => {
    const { value: divisor } = keyword;
    if (typeof divisor !== "number" || divisor <= 0) return keyword.error("Must be a number above 0.");
    return (value, at) => isMultipleOf(value, divisor) || at.breach("multipleOf", `must be a multiple of ${divisor}`);
  }),
  minimum: bound((value, limit) => value >= limit, "must be at least"),
  maximum: bound((value, limit) => value <= limit, "must be at most"),
  exclusiveMinimum: bound((value, limit) => value > limit, "must be more than"),
  exclusiveMaximum: bound((value, limit) => value < limit, "must be less than"),

  minLength: forText((keyword) =>
    count(keyword, lengthOf, (length, limit) => length >= limit, "must have at least", "characters"),
  ),
  maxLength: forText((keyword) =>
    count(keyword, lengthOf, (length, limit) => length <= limit, "must have at most", "characters"),
  ),
  pattern: forText((keyword) => {
    const regex = compilePattern(keyword, keyword.value);
    return (
      regex && ((value, at) => isMatch(regex, value, at) || at.breach("pattern", `must match ${String(keyword.value)}`))
    );
  }),

  prefixItems: forArray((keyword) => {
    const schemas = list(keyword).map((json, index) => keyword.schema(json, [index]));
    return (items, at) =>
      all(items.slice(0, schemas.length), (item, index) => {
        const schema = schemas[index];
        return schema === undefined || at.descend(schema, item, index);
      });
  }),
  items: forArray((keyword) => {
    if (Array.isArray(keyword.value)) return keyword.error("Must be one schema. For a tuple write prefixItems.");
    const { prefixItems } = keyword.owner;
    const schema = keyword.schema(keyword.value, []);
    const first = Array.isArray(prefixItems) ? prefixItems.length : 0;
    return (items, at) => all(items, (item, index) => index < first || at.descend(schema, item, index));
  }),
  contains: forArray(compileContains),
  minItems: forArray((keyword) =>
    count(keyword, sizeOf, (size, limit) => size >= limit, "must have at least", "items"),
  ),
  maxItems: forArray((keyword) => count(keyword, sizeOf, (size, limit) => size <= limit, "must have at most", "items")),
  uniqueItems: forArray((keyword) => {
    if (typeof keyword.value !== "boolean") return keyword.error("Must be true or false.");
    if (!keyword.value) return undefined;
    return (items, at) => {
      const texts = items.map((item) => spendText(item, at));
      return new Set(texts).size === items.length || at.breach("uniqueItems", "must have no item twice");
    };
  }),

  required: forObject((keyword) => {
    const names = textList(keyword);
    return (members, at) =>
      all(
        names,
        (name) => Object.hasOwn(members, name) || at.breach("required", `must have the member ${JSON.stringify(name)}`),
      );
  }),
  dependentRequired: forObject((keyword) => {
    const rules = Object.entries(map(keyword));
    return (members, at) =>
      all(
        rules,
        ([name, needed]) =>
          !Object.hasOwn(members, name) ||
          all(
            Array.isArray(needed) ? needed : [],
            (other) =>
              Object.hasOwn(members, String(other)) ||
              at.breach(
                "dependentRequired",
                `must have the member ${JSON.stringify(other)}, since it has ${JSON.stringify(name)}`,
              ),
          ),
      );
  }),
  properties: forObject((keyword) => {
    const schemas = Object.entries(map(keyword)).map(([name, json]) => [name, keyword.schema(json, [name])] as const);
    return (members, at) =>
      all(schemas, ([name, schema]) => {
        const member = Object.hasOwn(members, name) ? members[name] : undefined;
        return member === undefined || at.descend(schema, member, name);
      });
  }),
  patternProperties: forObject((keyword) => {
    const schemas = Object.entries(map(keyword)).flatMap(([pattern, json]) => {
      const regex = compilePattern(keyword, pattern);
      return regex === undefined ? [] : [{ regex, schema: keyword.schema(json, [pattern]) }];
    });
    return (members, at) =>
      all(Object.entries(members), ([name, member]) =>
        all(schemas, ({ regex, schema }) => !isMatch(regex, name, at) || at.descend(schema, member, name)),
      );
  }),
  additionalProperties: forObject(compileAdditional),
  propertyNames: forObject((keyword) => {
    const schema = keyword.schema(keyword.value, []);
    return (members, at) =>
      all(
        Object.keys(members),
        (name) =>
          at.matches(schema, name) ||
          at.breach("propertyNames", `must not have a member of the name ${JSON.stringify(name)}`),
      );
  }),
  minProperties: forObject((keyword) =>
    count(keyword, memberCount, (size, limit) => size >= limit, "must have at least", "members"),
  ),
  maxProperties: forObject((keyword) =>
    count(keyword, memberCount, (size, limit) => size <= limit, "must have at most", "members"),
  ),

  dependentSchemas: forObject((keyword) => {
    const schemas = Object.entries(map(keyword)).map(([name, json]) => [name, keyword.inPlace(json, [name])] as const);
    return (members, at) => all(schemas, ([name, schema]) => !Object.hasOwn(members, name) || at.also(schema, members));
  }),
  allOf: (keyword) => {
    const schemas = branches(keyword);
    return (value, at) => all(schemas, (schema) => at.also(schema, value));
  },
  anyOf: (keyword) => {
    const schemas = branches(keyword);
    return (value, at) =>
      counted(schemas, value, at) > 0 || at.breach("anyOf", "must match one of the schemas in anyOf, and matches none");
  },
  oneOf: (keyword) => {
    const schemas = branches(keyword);
    return (value, at) => {
      const matching = counted(schemas, value, at);
      return (
        matching === 1 || at.breach("oneOf", `must match exactly one of the schemas in oneOf, and matches ${matching}`)
      );
    };
  },
  not: (keyword) => {
    const schema = keyword.inPlace(keyword.value, []);
    return (value, at) => !at.matches(schema, value) || at.breach("not", "must not match the schema in not");
  },
  if: (keyword) => {
    const { then: thenJson = true, else: elseJson = true } = keyword.owner;
    const condition = keyword.inPlace(keyword.value, []);
    const [holds, fails] = [keyword.inPlace(thenJson, []), keyword.inPlace(elseJson, [])];
    return (value, at) => at.also(at.maybe(condition, value) ? holds : fails, value);
  },

  unevaluatedItems: forArray((keyword) => {
    const schema = keyword.schema(keyword.value, []);
    return (items, at) => {
      const { seen } = at;
      return all(items, (item, index) => seen.has(index) || at.descend(schema, item, index));
    };
  }),
  unevaluatedProperties: forObject((keyword) => {
    const schema = keyword.schema(keyword.value, []);
    return (members, at) => {
      const { seen } = at;
      return all(Object.entries(members), ([name, member]) => seen.has(name) || at.descend(schema, member, name));
    };
  }),
};

/** Keywords that check nothing by themselves. `format` is one of them, as 2020-12 has it unless told otherwise. */
export const annotations: ReadonlySet<string> = new Set(
  (
    "$schema $id $ref $anchor $dynamicRef $dynamicAnchor $vocabulary $comment $defs definitions then else minContains " +
    "maxContains title description default examples deprecated readOnly writeOnly format contentEncoding " +
    "contentMediaType contentSchema"
  ).split(" "),
);

const types = ["null", "boolean", "number", "integer", "string", "array", "object"];

function compileType(keyword: Keyword): Check | undefined {
  const wanted = Array.isArray(keyword.value) ? keyword.value : [keyword.value];
  if (wanted.length === 0 || !wanted.every((type) => types.includes(String(type)))) {
    return keyword.error(`Must be one of ${types.join(", ")}, or an array of them.`);
  }
  const told = wanted
    .map((type) => (type === "null" ? "null" : `${/^[aio]/.test(String(type)) ? "an" : "a"} ${type}`))
    .join(" or ");
  return (value, at) => {
    const type = typeOf(value);
    const isWanted =
      wanted.includes(type) || (type === "number" && wanted.includes("integer") && Number.isInteger(value));
    return isWanted || at.breach("type", `must be ${told}`);
  };
}

function oneOf({ name }: Keyword, values: readonly JsonValue[]): Check {
  const texts = new Set(values.map(canonicalText));
  const told = [...texts].join(", ");
  const short = told.length > 200 ? `${told.slice(0, 200)}…` : told;
  return (value, at) =>
    texts.has(spendText(value, at)) || at.breach(name, `must be ${texts.size > 1 ? "one of " : ""}${short}`);
}

function bound(holds: (value: number, limit: number) => boolean, told: string): Compile {
  return forNumber((keyword) => {
    const { name, value: limit } = keyword;
    if (typeof limit !== "number") return keyword.error("Must be a number.");
    return (value, at) => holds(value, limit) || at.breach(name, `${told} ${limit}`);
  });
}

function compileContains(keyword: Keyword) {
  const { minContains = 1, maxContains = Number.MAX_SAFE_INTEGER } = keyword.owner;
  const schema = keyword.schema(keyword.value, []);
  const [min, max] = [wholeNumber(keyword, minContains), wholeNumber(keyword, maxContains)];
  if (min === undefined || max === undefined) return undefined;
  return (items: JsonValue[], at: Visit) => {
    const matching = [...items.keys()].filter((index) => at.matches(schema, items[index] ?? null));
    for (const index of matching) at.see(index);
    const told = max === Number.MAX_SAFE_INTEGER ? `${min} items or more` : `${min} to ${max} items`;
    return (
      (matching.length >= min && matching.length <= max) ||
      at.breach("contains", `must have ${told} that match contains, and has ${matching.length}`)
    );
  };
}

function compileAdditional(keyword: Keyword) {
  const { properties, patternProperties } = keyword.owner;
  const schema = keyword.schema(keyword.value, []);
  const names = new Set(isObject(properties) ? Object.keys(properties) : []);
  const regexes = isObject(patternProperties) ? Object.keys(patternProperties) : [];
  // A pattern that is none is reported where it stands.
  const patterns = regexes.flatMap((pattern) => compilePattern({ ...keyword, error: () => undefined }, pattern) ?? []);
  return (members: JsonObject, at: Visit) =>
    all(Object.entries(members), ([name, member]) => {
      if (names.has(name) || patterns.some((regex) => isMatch(regex, name, at))) return true;
      if (keyword.value !== false) return at.descend(schema, member, name);
      return at.breach("additionalProperties", `must not have the member ${JSON.stringify(name)}`);
    });
}

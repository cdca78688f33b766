import type { JsonValue } from "@bufbuild/protobuf";
import { isMultipleOf } from "../values/decimal.ts";
import { arrayKeywords } from "./array-keywords.ts";
import { canonicalText, typeOf } from "./json-values.ts";
import type { Keyword } from "./keyword.ts";
import {
  all,
  allItems,
  branches,
  compilePattern,
  count,
  entriesOf,
  hasLength,
  isMatch,
  map,
  matchCount,
  spendChars,
  spendText,
} from "./keyword-parts.ts";
import { type Compile, forArray, forNumber, forObject, forText } from "./keyword-types.ts";
import { objectKeywords } from "./object-keywords.ts";
import { type Check, shortText } from "./schema-validation.ts";

/** The compiler of each keyword. Values are checked in this order, and the `unevaluated…` keywords come last. */
export const keywords: Readonly<Record<string, Compile>> = {
  type: compileType,
  enum: (keyword) =>
    Array.isArray(keyword.value) ? oneOf(keyword, keyword.value) : keyword.error("Must be an array."),
  const: (keyword) => oneOf(keyword, [keyword.value]),

  multipleOf: forNumber((keyword) => {
    const { value: divisor } = keyword;
    if (typeof divisor !== "number" || divisor <= 0) {
      return keyword.error("Must be a number above 0.");
    }
    return (value, at) => {
      at.run.spend(workOfMultiple);
      return isMultipleOf(value, divisor) || at.violation("multipleOf", () => `must be a multiple of ${divisor}`);
    };
  }),
  minimum: bound((value, limit) => value >= limit, "must be at least"),
  maximum: bound((value, limit) => value <= limit, "must be at most"),
  exclusiveMinimum: bound((value, limit) => value > limit, "must be more than"),
  exclusiveMaximum: bound((value, limit) => value < limit, "must be less than"),

  minLength: forText((keyword) => count(keyword, hasLength, "must have at least", "characters")),
  maxLength: forText((keyword) =>
    count(keyword, (text, limit, at) => !hasLength(text, limit + 1, at), "must have at most", "characters"),
  ),
  pattern: forText((keyword) => {
    const regex = compilePattern(keyword, keyword.value);
    return (
      regex &&
      ((value, at) =>
        isMatch(regex, value, at) || at.violation("pattern", () => `must match ${shortText(String(keyword.value))}`))
    );
  }),

  ...arrayKeywords,
  ...objectKeywords,

  dependentSchemas: forObject((keyword) => {
    const schemas = Object.entries(map(keyword)).map(([name, json]) => [name, keyword.inPlace(json, [name])] as const);
    return (members, at) =>
      all(at, schemas, ([name, schema]) => !Object.hasOwn(members, name) || at.applyInPlace(schema, members));
  }),
  allOf: (keyword) => {
    const schemas = branches(keyword);
    return (value, at) => all(at, schemas, (schema) => at.applyInPlace(schema, value));
  },
  anyOf: (keyword) => {
    const schemas = branches(keyword);
    return (value, at) =>
      matchCount(schemas, value, at) > 0 ||
      at.violation("anyOf", () => "must match one of the schemas in anyOf, and matches none");
  },
  oneOf: (keyword) => {
    const schemas = branches(keyword);
    return (value, at) => {
      const matching = matchCount(schemas, value, at);
      return (
        matching === 1 ||
        at.violation("oneOf", () => `must match exactly one of the schemas in oneOf, and matches ${matching}`)
      );
    };
  },
  not: (keyword) => {
    const schema = keyword.inPlace(keyword.value, []);
    return (value, at) => !at.matches(schema, value) || at.violation("not", () => "must not match the schema in not");
  },
  if: (keyword) => {
    const { then: thenJson = true, else: elseJson = true } = keyword.owner;
    const condition = keyword.inPlace(keyword.value, []);
    const [holds, fails] = [keyword.inPlace(thenJson, []), keyword.inPlace(elseJson, [])];
    return (value, at) => at.applyInPlace(at.testInPlace(condition, value) ? holds : fails, value);
  },

  unevaluatedItems: forArray((keyword) => {
    const schema = keyword.schema(keyword.value, []);
    return (items, at) => {
      const { evaluated } = at;
      return allItems(at, { items }, (item, index) => evaluated.has(index) || at.applyToChild(schema, item, index));
    };
  }),
  unevaluatedProperties: forObject((keyword) => {
    const schema = keyword.schema(keyword.value, []);
    return (members, at) => {
      const { evaluated } = at;
      return all(
        at,
        entriesOf(members, at),
        ([name, member]) => evaluated.has(name) || at.applyToChild(schema, member, name),
      );
    };
  }),
};

/** Keywords that check nothing by themselves. `format` is an annotation in 2020-12 by default. */
export const annotations: ReadonlySet<string> = new Set(
  (
    "$schema $id $ref $anchor $dynamicRef $dynamicAnchor $vocabulary $comment $defs definitions then else minContains " +
    "maxContains title description default examples deprecated readOnly writeOnly format contentEncoding " +
    "contentMediaType contentSchema"
  ).split(" "),
);

/** For numbers of up to 17 digits whose exponents differ by up to 632. */
const workOfMultiple = 50;

const types = ["null", "boolean", "number", "integer", "string", "array", "object"];

function compileType(keyword: Keyword): Check | undefined {
  const given = Array.isArray(keyword.value) ? keyword.value : [keyword.value];
  // Without repetitions the list is short.
  const wanted = [...new Set(given.map(String))];
  if (wanted.length === 0 || !wanted.every((type) => types.includes(type))) {
    return keyword.error(`Must be one of ${types.join(", ")}, or an array of them.`);
  }
  const words = wanted
    .map((type) => (type === "null" ? "null" : `${/^[aio]/.test(type) ? "an" : "a"} ${type}`))
    .join(" or ");
  return (value, at) => {
    const type = typeOf(value);
    const isWanted =
      wanted.includes(type) || (type === "number" && wanted.includes("integer") && Number.isInteger(value));
    return isWanted || at.violation("type", () => `must be ${words}`);
  };
}

/** Compiles `enum` and `const`. Strings are looked up as they are, and values are serialised only if the list has containers. */
function oneOf({ name }: Keyword, values: readonly JsonValue[]): Check {
  const texts = new Set(values.map((value) => canonicalText(value)));
  const strings = new Set(values.filter((value) => typeof value === "string"));
  const lengthMax = [...strings].reduce((max, { length }) => Math.max(max, length), 0);
  const hasContainer = values.some((value) => typeof value === "object" && value !== null);
  const list = shortText([...texts].join(", "));
  return (value, at) => {
    let isOne = false;
    if (typeof value === "string") {
      spendChars(Math.min(value.length, lengthMax), at);
      isOne = value.length <= lengthMax && strings.has(value);
    } else if (typeof value !== "object" || value === null || hasContainer) {
      isOne = texts.has(spendText(value, at));
    }
    return isOne || at.violation(name, () => `must be ${texts.size > 1 ? "one of " : ""}${list}`);
  };
}

function bound(holds: (value: number, limit: number) => boolean, words: string): Compile {
  return forNumber((keyword) => {
    const { name, value: limit } = keyword;
    if (typeof limit !== "number") {
      return keyword.error("Must be a number.");
    }
    return (value, at) => holds(value, limit) || at.violation(name, () => `${words} ${limit}`);
  });
}

import type { JsonValue } from "@bufbuild/protobuf";
import type { Keyword } from "./keyword.ts";
import { allItems, count, list, spendText, wholeNumber } from "./keyword-parts.ts";
import { type Compile, forArray } from "./keyword-types.ts";
import type { SchemaEvaluation } from "./schema-validation.ts";

/** The keywords of arrays, except for `unevaluatedItems`, which depends on all others. */
export const arrayKeywords: Readonly<Record<string, Compile>> = {
  prefixItems: forArray((keyword) => {
    const schemas = list(keyword).map((json, index) => keyword.schema(json, [index]));
    return (items, at) =>
      allItems(at, { items, to: Math.min(items.length, schemas.length) }, (item, index) => {
        const schema = schemas[index];
        return schema === undefined || at.applyToChild(schema, item, index);
      });
  }),
  items: forArray((keyword) => {
    if (Array.isArray(keyword.value)) {
      return keyword.error("Must be one schema. For a tuple write prefixItems.");
    }
    const { prefixItems } = keyword.owner;
    const schema = keyword.schema(keyword.value, []);
    const from = Array.isArray(prefixItems) ? prefixItems.length : 0;
    return (items, at) => allItems(at, { items, from }, (item, index) => at.applyToChild(schema, item, index));
  }),
  contains: forArray(compileContains),
  minItems: forArray((keyword) =>
    count(keyword, (items, limit) => items.length >= limit, "must have at least", "items"),
  ),
  maxItems: forArray((keyword) =>
    count(keyword, (items, limit) => items.length <= limit, "must have at most", "items"),
  ),
  uniqueItems: forArray((keyword) => {
    if (typeof keyword.value !== "boolean") {
      return keyword.error("Must be true or false.");
    }
    if (!keyword.value) {
      return undefined;
    }
    return (items, at) => {
      const texts = new Set<string>();
      const isUnique = allItems(at, { items }, (item) => texts.size < texts.add(spendText(item, at)).size);
      return isUnique || at.violation("uniqueItems", () => "must have no item twice");
    };
  }),
};

function compileContains(keyword: Keyword) {
  const { minContains = 1, maxContains = Number.MAX_SAFE_INTEGER } = keyword.owner;
  const schema = keyword.schema(keyword.value, []);
  const [min, max] = [wholeNumber(keyword, minContains), wholeNumber(keyword, maxContains)];
  if (min === undefined || max === undefined) {
    return undefined;
  }
  return (items: JsonValue[], at: SchemaEvaluation) => {
    let matching = 0;
    for (const [index, item] of items.entries()) {
      if (!at.matches(schema, item)) {
        continue;
      }
      at.markEvaluated(index);
      matching += 1;
    }
    const wanted = max === Number.MAX_SAFE_INTEGER ? `${min} items or more` : `${min} to ${max} items`;
    return (
      (matching >= min && matching <= max) ||
      at.violation("contains", () => `must have ${wanted} that match contains, and has ${matching}`)
    );
  };
}

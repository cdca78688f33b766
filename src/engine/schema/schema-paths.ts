import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { RE2JS } from "re2js";
import { isObject } from "../../domain/json/violations.ts";
import { compileRegex } from "../regex/regex-engine.ts";
import { isIndex } from "../templates/reference.ts";
import { referredIn } from "./json-pointer.ts";
import { anyItem, hasPath, listOf, memberOf, type Path, type Step } from "./path-step.ts";

/**
 * The limit of schemas that are visited for one definition. Beyond it, every path counts as one that may resolve: a warning must
 * be right, but not every warning must be found.
 */
const visitsMax = 100_000;

/** The limit of schemas that are applied inside one another, so that the stack cannot overflow. */
const depthMax = 200;

/** Longer names are not matched against patterns. */
const patternNameMax = 200;

/**
 * Decides which paths can resolve in the values that a JSON Schema accepts, for warnings about templates.
 *
 * A path cannot resolve if one of these holds for the schema at one of its steps:
 * - the schema is false, or its `type` is neither object nor, for an index, array;
 * - no value of `enum` or `const` has the rest of the path;
 * - `properties`, a pattern of `patternProperties`, `prefixItems` or `items` holds for the step, and excludes the rest;
 * - none of them does, and `additionalProperties` or `unevaluatedProperties` excludes it, or `propertyNames` its name, or
 *   `maxItems` its index;
 * - `$ref`, `$dynamicRef` or a schema of `allOf` excludes it, or each schema of `anyOf` or of `oneOf` does, or both ways of
 *   `if` do.
 * All other keywords (`not`, `dependentSchemas`, bounds, `unevaluatedItems`) are taken to allow the path.
 */
export class SchemaPaths {
  readonly #root: JsonValue;
  readonly #patterns = new Map<string, RE2JS | undefined>();
  readonly #verdicts = new Map<string, boolean>();
  #visits = 0;

  /** @param root a schema without problems: one that applies itself to the same value would be followed in an endless loop */
  constructor(root: JsonValue) {
    this.#root = root;
  }

  /** Whether the path may resolve in a value that the schema accepts. */
  mayResolve(path: Path): boolean {
    const key = JSON.stringify(path.map((step) => (step === anyItem ? null : step)));
    const known = this.#verdicts.get(key);
    if (known !== undefined) {
      return known;
    }
    const verdict = this.#admits(this.#root, { path, at: 0, depth: 0, memo: new Map() });
    this.#verdicts.set(key, verdict);
    return verdict;
  }

  /** Whether the schema describes the value at a path. */
  describes(path: Path): boolean {
    let isDescribed = false;
    this.#reach(this.#root, { path, at: 0, depth: 0, memo: new Map() }, () => {
      isDescribed = true;
    });
    return isDescribed;
  }

  /** The names of members that the schema has at a path. */
  namesAt(path: Path): readonly string[] {
    const names = new Set<string>();
    this.#reach(this.#root, { path, at: 0, depth: 0, memo: new Map() }, ({ properties }) => {
      if (isObject(properties)) {
        for (const name of Object.keys(properties)) {
          names.add(name);
        }
      }
    });
    return [...names];
  }

  #admits(json: JsonValue | undefined, walk: Walk): boolean {
    if (json === false) {
      return false;
    }
    if (!isObject(json) || !this.#mayFollow(walk)) {
      return true;
    }
    const known = seenAt(walk).get(json);
    if (known !== undefined) {
      return known;
    }
    const verdict = this.#admitsObject(json, walk);
    seenAt(walk).set(json, verdict);
    return verdict;
  }

  #admitsObject(json: JsonObject, walk: Walk): boolean {
    const admits = (inner: JsonValue | undefined) => this.#admits(inner, { ...walk, depth: walk.depth + 1 });
    const { anyOf, oneOf, if: condition, then: holds, else: fails } = json;
    return (
      this.#referred(json).every(admits) &&
      listOf(json["allOf"]).every(admits) &&
      [anyOf, oneOf].every((schemas) => !Array.isArray(schemas) || schemas.some(admits)) &&
      (condition === undefined || (admits(condition) && admits(holds)) || admits(fails)) &&
      this.#admitsStep(json, walk)
    );
  }

  #admitsStep(json: JsonObject, walk: Walk): boolean {
    const rest = walk.path.slice(walk.at);
    const [step] = rest;
    if (step === undefined) {
      return true;
    }
    const { type = ["array", "object"], enum: values, const: value } = json;
    const has = (each: JsonValue) => hasPath(each, rest);
    if (Array.isArray(values) && !values.some(has)) {
      return false;
    }
    if (value !== undefined && !has(value)) {
      return false;
    }
    const types = Array.isArray(type) ? type : [type];
    return (
      (types.includes("object") && step !== anyItem && this.#admitsMember(json, step, walk)) ||
      (types.includes("array") && (step === anyItem || isIndex(step)) && this.#admitsItem(json, step, walk))
    );
  }

  #admitsMember(json: JsonObject, name: string, walk: Walk): boolean {
    const below = (inner: JsonValue | undefined) => this.#admits(inner, stepOf(walk));
    const { additionalProperties, unevaluatedProperties, propertyNames } = json;
    if (!this.#admitsName(propertyNames, name)) {
      return false;
    }
    const { schemas, isMaybeMore } = this.#schemasOf(json, name);
    if (schemas.length > 0 || isMaybeMore) {
      return schemas.every(below);
    }
    if (additionalProperties !== undefined) {
      return below(additionalProperties);
    }
    return unevaluatedProperties === undefined || this.#mayEvaluate(json, name, walk) || below(unevaluatedProperties);
  }

  #admitsName(schema: JsonValue | undefined, name: string): boolean {
    if (!isObject(schema)) {
      return schema !== false;
    }
    const { enum: names, const: only, pattern } = schema;
    if (Array.isArray(names) && !names.includes(name)) {
      return false;
    }
    if (only !== undefined && only !== name) {
      return false;
    }
    return typeof pattern !== "string" || this.#isMatch(pattern, name) !== false;
  }

  /** The schemas of `properties` and `patternProperties` for a member, and whether there may be more of them. */
  #schemasOf({ properties, patternProperties }: JsonObject, name: string) {
    const schemas: JsonValue[] = [];
    let isMaybeMore = false;
    const own = memberOf(properties, name);
    if (own !== undefined) {
      schemas.push(own);
    }
    for (const [pattern, schema] of isObject(patternProperties) ? Object.entries(patternProperties) : []) {
      const isMatch = this.#isMatch(pattern, name);
      if (isMatch === true) {
        schemas.push(schema);
      } else if (isMatch === undefined) {
        isMaybeMore = true;
      }
    }
    return { schemas, isMaybeMore };
  }

  /** Whether a schema for the same value may have evaluated a member, so that `unevaluatedProperties` does not apply to it. */
  #mayEvaluate(json: JsonObject, name: string, walk: Walk): boolean {
    if (!this.#mayFollow(walk)) {
      return true;
    }
    return this.#inPlace(json).some((inner) => {
      if (!isObject(inner)) {
        return false;
      }
      const { schemas, isMaybeMore } = this.#schemasOf(inner, name);
      return (
        schemas.length > 0 ||
        isMaybeMore ||
        inner["additionalProperties"] !== undefined ||
        inner["unevaluatedProperties"] !== undefined ||
        this.#mayEvaluate(inner, name, { ...walk, depth: walk.depth + 1 })
      );
    });
  }

  #admitsItem({ prefixItems, items, maxItems }: JsonObject, step: Step, walk: Walk): boolean {
    const below = (inner: JsonValue | undefined) => this.#admits(inner, stepOf(walk));
    const first = listOf(prefixItems);
    const index = step === anyItem ? 0 : Number(step);
    if (typeof maxItems === "number" && index >= maxItems) {
      return false;
    }
    if (step === anyItem) {
      return first.some(below) || below(items);
    }
    return below(index < first.length ? first[index] : items);
  }

  /** Follows a path through all schemas that may apply, and calls `found` for each schema at its end. */
  #reach(json: JsonValue | undefined, walk: Walk, found: (json: JsonObject) => void): void {
    if (!isObject(json) || !this.#mayFollow(walk) || seenAt(walk).has(json)) {
      return;
    }
    seenAt(walk).set(json, true);
    const step = walk.path[walk.at];
    if (step === undefined) {
      found(json);
    }
    for (const inner of this.#inPlace(json)) {
      this.#reach(inner, { ...walk, depth: walk.depth + 1 }, found);
    }
    if (step === undefined) {
      return;
    }
    const { additionalProperties, items } = json;
    const first = listOf(json["prefixItems"]);
    const named = step === anyItem ? [] : this.#schemasOf(json, step).schemas;
    const indexed = step === anyItem ? [...first, items] : isIndex(step) ? [first[Number(step)] ?? items] : [];
    for (const inner of [...named, additionalProperties, ...indexed]) {
      this.#reach(inner, stepOf(walk), found);
    }
  }

  /** The schemas that may be applied to the same value. */
  #inPlace(json: JsonObject): readonly (JsonValue | undefined)[] {
    const { allOf, anyOf, oneOf, if: condition, then: holds, else: fails, dependentSchemas } = json;
    const dependent = isObject(dependentSchemas) ? Object.values(dependentSchemas) : [];
    const lists = [allOf, anyOf, oneOf].flatMap(listOf);
    return [...this.#referred(json), ...lists, condition, holds, fails, ...dependent];
  }

  #referred({ $ref, $dynamicRef }: JsonObject): readonly JsonValue[] {
    return [$ref, $dynamicRef].flatMap((reference) => {
      const schema = typeof reference === "string" ? referredIn(this.#root, reference) : undefined;
      return schema === undefined ? [] : [schema];
    });
  }

  /** Whether a name matches a pattern. Undefined where the match would take too long. */
  #isMatch(pattern: string, name: string): boolean | undefined {
    if (name.length > patternNameMax) {
      return undefined;
    }
    if (!this.#patterns.has(pattern)) {
      this.#patterns.set(pattern, regexOf(pattern));
    }
    const regex = this.#patterns.get(pattern);
    this.#visits += 10;
    return regex?.matcher(name).find();
  }

  #mayFollow({ depth }: Walk): boolean {
    this.#visits += 1;
    return depth <= depthMax && this.#visits <= visitsMax;
  }
}

/** The state of one walk along a path. The verdict on a schema at a step of the path is memoised. */
type Walk = {
  readonly path: Path;
  readonly at: number;
  readonly depth: number;
  readonly memo: Map<number, Map<JsonObject, boolean>>;
};

function stepOf(walk: Walk): Walk {
  return { ...walk, at: walk.at + 1, depth: walk.depth + 1 };
}

function seenAt({ memo, at }: Walk): Map<JsonObject, boolean> {
  const seen = memo.get(at) ?? new Map<JsonObject, boolean>();
  memo.set(at, seen);
  return seen;
}

function regexOf(pattern: string): RE2JS | undefined {
  try {
    return compileRegex(new RegExp(pattern, "u"));
  } catch {
    return undefined;
  }
}

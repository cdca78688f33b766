import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { RE2JS } from "re2js";
import { isObject } from "../../domain/json/violations.ts";
import { compileRegex } from "../regex/regex-engine.ts";
import { isIndex } from "../templates/reference.ts";
import { referredIn } from "./json-pointer.ts";

/** Any item of a list, as a step of a path. */
export const anyItem = Symbol("any item");

/** The name of a member, the index of an item as a template writes it, or any item. */
export type Step = string | typeof anyItem;

export type Path = readonly Step[];

/**
 * How many schemas are looked at for one definition. When that is spent, every path may resolve: what is told must be
 * right, and need not be all that could be told.
 */
const visitsMax = 100_000;

/** Schemas that are applied inside one another are followed so far: more might be more than the stack holds. */
const depthMax = 200;

/** Longer names are matched with no pattern. */
const patternNameMax = 200;

/**
 * What a JSON Schema says of paths into the values that it takes.
 *
 * A path is excluded where one of these holds at a step of it, for the schema there:
 * - it is false, or the `type` is neither that of an object nor, for an index, that of an array;
 * - no value of `enum` or `const` has the rest of the path;
 * - `properties`, a pattern of `patternProperties`, `prefixItems` or `items` holds for the step, and excludes the rest;
 * - none of them does, and `additionalProperties` or `unevaluatedProperties` excludes it, or `propertyNames` its name, or
 *   `maxItems` its index;
 * - `$ref`, `$dynamicRef` or a schema of `allOf` excludes it, or each schema of `anyOf` or of `oneOf` does, or both ways of
 *   `if` do.
 * All else (`not`, `dependentSchemas`, bounds, `unevaluatedItems`) is taken to let the path be.
 */
export class SchemaPaths {
  readonly #root: JsonValue;
  readonly #patterns = new Map<string, RE2JS | undefined>();
  readonly #verdicts = new Map<string, boolean>();
  #visits = 0;

  /** @param root a schema without a problem: one that applies itself to the same value would be followed for ever */
  constructor(root: JsonValue) {
    this.#root = root;
  }

  /** Whether a value that the schema takes may have the path. */
  mayResolve(path: Path): boolean {
    const key = JSON.stringify(path.map((step) => (step === anyItem ? null : step)));
    const known = this.#verdicts.get(key);
    if (known !== undefined) return known;
    const verdict = this.#admits(this.#root, { path, at: 0, depth: 0, memo: new Map() });
    this.#verdicts.set(key, verdict);
    return verdict;
  }

  /** Whether the schema says something of what is there, step by step. */
  describes(path: Path): boolean {
    let isDescribed = false;
    this.#reach(this.#root, { path, at: 0, depth: 0, memo: new Map() }, () => {
      isDescribed = true;
    });
    return isDescribed;
  }

  /** The members that the schema names where a path leads. */
  namesAt(path: Path): readonly string[] {
    const names = new Set<string>();
    this.#reach(this.#root, { path, at: 0, depth: 0, memo: new Map() }, ({ properties }) => {
      if (isObject(properties)) for (const name of Object.keys(properties)) names.add(name);
    });
    return [...names];
  }

  #admits(json: JsonValue | undefined, way: Way): boolean {
    if (json === false) return false;
    if (!isObject(json) || !this.#mayFollow(way)) return true;
    const known = seenAt(way).get(json);
    if (known !== undefined) return known;
    const verdict = this.#admitsObject(json, way);
    seenAt(way).set(json, verdict);
    return verdict;
  }

  #admitsObject(json: JsonObject, way: Way): boolean {
    const admits = (inner: JsonValue | undefined) => this.#admits(inner, { ...way, depth: way.depth + 1 });
    const { anyOf, oneOf, if: condition, then: holds, else: fails } = json;
    return (
      this.#referred(json).every(admits) &&
      listOf(json["allOf"]).every(admits) &&
      [anyOf, oneOf].every((schemas) => !Array.isArray(schemas) || schemas.some(admits)) &&
      (condition === undefined || (admits(condition) && admits(holds)) || admits(fails)) &&
      this.#admitsStep(json, way)
    );
  }

  #admitsStep(json: JsonObject, way: Way): boolean {
    const rest = way.path.slice(way.at);
    const [step] = rest;
    if (step === undefined) return true;
    const { type = ["array", "object"], enum: values, const: value } = json;
    const has = (each: JsonValue) => hasPath(each, rest);
    if (Array.isArray(values) && !values.some(has)) return false;
    if (value !== undefined && !has(value)) return false;
    const types = Array.isArray(type) ? type : [type];
    return (
      (types.includes("object") && step !== anyItem && this.#admitsMember(json, step, way)) ||
      (types.includes("array") && (step === anyItem || isIndex(step)) && this.#admitsItem(json, step, way))
    );
  }

  #admitsMember(json: JsonObject, name: string, way: Way): boolean {
    const below = (inner: JsonValue | undefined) => this.#admits(inner, stepOf(way));
    const { additionalProperties, unevaluatedProperties, propertyNames } = json;
    if (!this.#admitsName(propertyNames, name)) return false;
    const { schemas, isMaybeMore } = this.#schemasOf(json, name);
    if (schemas.length > 0 || isMaybeMore) return schemas.every(below);
    if (additionalProperties !== undefined) return below(additionalProperties);
    return unevaluatedProperties === undefined || this.#mayEvaluate(json, name, way) || below(unevaluatedProperties);
  }

  #admitsName(schema: JsonValue | undefined, name: string): boolean {
    if (!isObject(schema)) return schema !== false;
    const { enum: names, const: only, pattern } = schema;
    if (Array.isArray(names) && !names.includes(name)) return false;
    if (only !== undefined && only !== name) return false;
    return typeof pattern !== "string" || this.#isMatch(pattern, name) !== false;
  }

  /** The schemas that `properties` and `patternProperties` have for a member, and whether there may be another one. */
  #schemasOf({ properties, patternProperties }: JsonObject, name: string) {
    const schemas: JsonValue[] = [];
    let isMaybeMore = false;
    const own = memberOf(properties, name);
    if (own !== undefined) schemas.push(own);
    for (const [pattern, schema] of isObject(patternProperties) ? Object.entries(patternProperties) : []) {
      const isMatch = this.#isMatch(pattern, name);
      if (isMatch === true) schemas.push(schema);
      else if (isMatch === undefined) isMaybeMore = true;
    }
    return { schemas, isMaybeMore };
  }

  /** Whether a schema for the same value may have looked at a member, so that it is not left to `unevaluatedProperties`. */
  #mayEvaluate(json: JsonObject, name: string, way: Way): boolean {
    if (!this.#mayFollow(way)) return true;
    return this.#inPlace(json).some((inner) => {
      if (!isObject(inner)) return false;
      const { schemas, isMaybeMore } = this.#schemasOf(inner, name);
      return (
        schemas.length > 0 ||
        isMaybeMore ||
        inner["additionalProperties"] !== undefined ||
        inner["unevaluatedProperties"] !== undefined ||
        this.#mayEvaluate(inner, name, { ...way, depth: way.depth + 1 })
      );
    });
  }

  #admitsItem({ prefixItems, items, maxItems }: JsonObject, step: Step, way: Way): boolean {
    const below = (inner: JsonValue | undefined) => this.#admits(inner, stepOf(way));
    const first = listOf(prefixItems);
    const index = step === anyItem ? 0 : Number(step);
    if (typeof maxItems === "number" && index >= maxItems) return false;
    if (step === anyItem) return first.some(below) || below(items);
    return below(index < first.length ? first[index] : items);
  }

  /** Goes every way that a schema names, and tells what it finds at the end of the path. */
  #reach(json: JsonValue | undefined, way: Way, found: (json: JsonObject) => void): void {
    if (!isObject(json) || !this.#mayFollow(way) || seenAt(way).has(json)) return;
    seenAt(way).set(json, true);
    const step = way.path[way.at];
    if (step === undefined) found(json);
    for (const inner of this.#inPlace(json)) this.#reach(inner, { ...way, depth: way.depth + 1 }, found);
    if (step === undefined) return;
    const { additionalProperties, items } = json;
    const first = listOf(json["prefixItems"]);
    const named = step === anyItem ? [] : this.#schemasOf(json, step).schemas;
    const indexed = step === anyItem ? [...first, items] : isIndex(step) ? [first[Number(step)] ?? items] : [];
    for (const inner of [...named, additionalProperties, ...indexed]) this.#reach(inner, stepOf(way), found);
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

  /** Whether a name matches a pattern; undefined where that takes too much to say. */
  #isMatch(pattern: string, name: string): boolean | undefined {
    if (name.length > patternNameMax) return undefined;
    if (!this.#patterns.has(pattern)) this.#patterns.set(pattern, regexOf(pattern));
    const regex = this.#patterns.get(pattern);
    this.#visits += 10;
    return regex?.matcher(name).find();
  }

  #mayFollow({ depth }: Way): boolean {
    this.#visits += 1;
    return depth <= depthMax && this.#visits <= visitsMax;
  }
}

/** Where one walk has come to. What was found of a schema at a step of the path is found once. */
type Way = {
  readonly path: Path;
  readonly at: number;
  readonly depth: number;
  readonly memo: Map<number, Map<JsonObject, boolean>>;
};

function stepOf(way: Way): Way {
  return { ...way, at: way.at + 1, depth: way.depth + 1 };
}

function seenAt({ memo, at }: Way): Map<JsonObject, boolean> {
  const seen = memo.get(at) ?? new Map<JsonObject, boolean>();
  memo.set(at, seen);
  return seen;
}

function hasPath(value: JsonValue, [step, ...rest]: Path): boolean {
  if (step === undefined) return true;
  if (Array.isArray(value)) {
    const items = step === anyItem ? value : isIndex(step) ? value.slice(Number(step), Number(step) + 1) : [];
    return items.some((item) => hasPath(item, rest));
  }
  const member = step === anyItem ? undefined : memberOf(value, step);
  return member !== undefined && hasPath(member, rest);
}

function memberOf(json: JsonValue | undefined, name: string): JsonValue | undefined {
  return isObject(json) && Object.hasOwn(json, name) ? json[name] : undefined;
}

function listOf(json: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(json) ? json : [];
}

function regexOf(pattern: string): RE2JS | undefined {
  try {
    return compileRegex(new RegExp(pattern, "u"));
  } catch {
    return undefined;
  }
}

// A JSON Schema 2020-12 validator for payloads. It compiles schemas to closures, never to code.
//
// Authors are not trusted: patterns match in linear time (no ReDoS), and all work has a budget (`schema-validation.ts`). A schema
// is one document: nothing is fetched, and an inner `$id` is refused, so that `$dynamicRef` resolves like `$ref`.
//
// No library does all of this. ajv generates code from the schema, and most others match patterns by backtracking.
// @hyperjump/json-schema 1.18 passes the whole official suite, but has one table of dialects for the process (a tenant's
// `$vocabulary` under the `$id` of 2020-12 switches `type` off for all others), cannot limit the work of a keyword (5 of the 14
// worst cases in test/engine/schema-work.test.ts take more than 25 s, here 1 s at most), and takes four times as long for 1 MiB.

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { RE2JS } from "re2js";
import { jsonPath } from "../../domain/json/json-refusal.ts";
import { isObject } from "../../domain/json/violations.ts";
import { compileRegex } from "../regex/regex-engine.ts";
import type { Field } from "../templates/field.ts";
import { fragmentOf, pointerOf, referredIn } from "./json-pointer.ts";
import type { Keyword } from "./keyword.ts";
import { annotations, keywords } from "./keywords.ts";
import { type Check, type Schema, shortText } from "./schema-validation.ts";

const dialect = "https://json-schema.org/draft/2020-12/schema";

const schemasMax = 5_000;

/** Compiles a schema, and reports every problem in it. The result is valid only where there was none. */
export function compileSchema(root: JsonObject, field: Field): Schema {
  return new SchemaCompiler(root, field).compile();
}

class SchemaCompiler {
  readonly #root: JsonObject;
  readonly #field: Field;
  readonly #schemas = new Map<JsonObject, Schema>();
  readonly #anchors = new Map<string, Schema>();
  readonly #regexes = new Map<string, RE2JS>();
  readonly #references: (() => void)[] = [];

  constructor(root: JsonObject, field: Field) {
    this.#root = root;
    this.#field = field;
  }

  compile(): Schema {
    const { $schema = dialect } = this.#root;
    if (typeof $schema !== "string" || $schema.replace(/#$/, "") !== dialect) {
      this.#problem(["$schema"], `The schema must be one of draft 2020-12: "${dialect}".`);
    }
    const schema = this.#schema(this.#root, []);
    // A reference may lead to a schema that no keyword leads to, and which has references of its own.
    for (const resolve of this.#references) {
      resolve();
    }
    if (hasCycle([...this.#schemas.values()])) {
      this.#problem(
        [],
        "The schema refers to itself for the same value, so it would be applied in an endless loop. Remove the reference.",
      );
    }
    return schema;
  }

  #schema(json: JsonValue | undefined, path: readonly (string | number)[]): Schema {
    if (json === true) {
      return { checks: [], inPlace: [] };
    }
    if (json === false) {
      return { checks: [(_, at) => at.violation("false", () => "is not allowed here")], inPlace: [] };
    }
    if (!isObject(json)) {
      this.#problem(path, "A schema must be an object, true or false.");
      return { checks: [], inPlace: [] };
    }
    const known = this.#schemas.get(json);
    if (known !== undefined) {
      return known;
    }
    const schema: Schema = { checks: [], inPlace: [] };
    this.#schemas.set(json, schema);
    if (this.#schemas.size > schemasMax) {
      if (this.#schemas.size === schemasMax + 1) {
        this.#problem([], `The schema has more than ${schemasMax} schemas in it. Make it smaller.`);
      }
      return schema;
    }
    this.#fill(schema, json, path);
    return schema;
  }

  #fill(schema: Schema, json: JsonObject, path: readonly (string | number)[]): void {
    const { $id, $anchor, $dynamicAnchor, $ref, $dynamicRef, $defs } = json;
    if ($id !== undefined && json !== this.#root) {
      this.#problem(
        [...path, "$id"],
        "An $id inside of a schema is not supported. Refer by #/$defs/… or by an $anchor.",
      );
    }
    for (const anchor of [$anchor, $dynamicAnchor]) {
      if (typeof anchor === "string") {
        this.#anchors.set(anchor, schema);
      }
    }
    for (const [name, reference] of Object.entries({ $ref, $dynamicRef })) {
      if (reference !== undefined) {
        this.#refer(schema, reference, [...path, name]);
      }
    }
    if (isObject($defs)) {
      for (const [name, inner] of Object.entries($defs)) {
        this.#schema(inner, [...path, "$defs", name]);
      }
    }
    for (const [name, compile] of Object.entries(keywords)) {
      const value = json[name];
      const check = value === undefined ? undefined : compile(this.#keyword(schema, json, [...path, name]));
      if (check !== undefined) {
        schema.checks.push(check);
      }
    }
    for (const name of Object.keys(json)) {
      if (!Object.hasOwn(keywords, name) && !annotations.has(name)) {
        const field = this.#fieldAt([...path, name]);
        field.warn(
          "SCHEMA_KEYWORD_UNKNOWN",
          `JSON Schema 2020-12 has no keyword "${shortText(name)}", so it has no effect.`,
        );
      }
    }
  }

  #keyword(schema: Schema, owner: JsonObject, path: readonly (string | number)[]): Keyword {
    const name = String(path.at(-1));
    const inner = (json: JsonValue, steps: readonly (string | number)[]) => this.#schema(json, [...path, ...steps]);
    return {
      name,
      // The owner has a member of this name.
      value: owner[name] ?? null,
      owner,
      error: (message) => this.#problem(path, message),
      regex: (pattern) => this.#regex(pattern),
      schema: inner,
      inPlace: (json, steps) => {
        const made = inner(json, steps);
        schema.inPlace.push(made);
        return made;
      },
    };
  }

  #regex(pattern: string): RE2JS {
    const known = this.#regexes.get(pattern);
    if (known !== undefined) {
      return known;
    }
    if (!this.#field.takesRegex()) {
      throw new Error("there are too many regular expressions");
    }
    const regex = compileRegex(new RegExp(pattern, "u"));
    this.#regexes.set(pattern, regex);
    return regex;
  }

  #refer(schema: Schema, reference: JsonValue, path: readonly (string | number)[]): void {
    let target: Schema = { checks: [], inPlace: [] };
    const check: Check = (value, at) => at.applyInPlace(target, value);
    schema.checks.push(check);
    this.#references.push(() => {
      const found = typeof reference === "string" ? this.#resolve(reference) : undefined;
      if (found === undefined) {
        const message = `${shortText(JSON.stringify(reference))} resolves to nothing in this schema, and other documents are never fetched.`;
        this.#problem(path, message);
        return;
      }
      target = found;
      schema.inPlace.push(found);
    });
  }

  #resolve(reference: string): Schema | undefined {
    const steps = pointerOf(this.#root, reference);
    const anchor = fragmentOf(this.#root, reference);
    if (steps === undefined) {
      return anchor === undefined ? undefined : this.#anchors.get(anchor);
    }
    const json = referredIn(this.#root, reference);
    return json === undefined ? undefined : this.#schema(json, steps);
  }

  #problem(path: readonly (string | number)[], message: string): undefined {
    this.#fieldAt(path).error("SCHEMA_INVALID", message);
    return undefined;
  }

  #fieldAt(path: readonly (string | number)[]): Field {
    return path.length === 0 ? this.#field : this.#field.member(jsonPath("", path));
  }
}

/**
 * Whether a schema applies itself to the same value again. This is Kahn's algorithm for a topological sort: schemas without an
 * incoming reference are removed until none is left, or only cycles are. Recursion would overflow the stack on a long chain.
 */
function hasCycle(schemas: readonly Schema[]): boolean {
  const incoming = new Map(schemas.map((schema) => [schema, 0]));
  for (const { inPlace } of schemas) {
    for (const inner of inPlace) {
      incoming.set(inner, (incoming.get(inner) ?? 0) + 1);
    }
  }
  const free = [...incoming.keys()].filter((schema) => incoming.get(schema) === 0);
  let taken = 0;
  for (let schema = free.pop(); schema !== undefined; schema = free.pop()) {
    taken += 1;
    for (const inner of schema.inPlace) {
      const left = (incoming.get(inner) ?? 0) - 1;
      incoming.set(inner, left);
      if (left === 0) {
        free.push(inner);
      }
    }
  }
  return taken < incoming.size;
}

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  type Scalar,
  type YAMLMap,
} from "yaml";

/** A problem at an offset, in characters from the start. */
export type YamlProblem = { readonly offset: number; readonly message: string };

/** The most values after expanding aliases ("billion laughs", CWE-776). */
const valuesMax = 200_000;

/** The deepest nesting. No server accepts so deep a definition. */
const depthMax = 100;

/** The tags of values that JSON has too. */
const jsonTags = new Set(
  ["str", "int", "float", "bool", "null", "map", "seq"].map((tag) => `tag:yaml.org,2002:${tag}`),
);

/**
 * Converts a YAML document to JSON. Whatever JSON does not have (other tags, dates, sets, names that are not strings,
 * numbers that a double would round) is reported as a problem with its place, and never converted silently.
 */
export function jsonOfYaml(document: Document): {
  readonly json: JsonValue;
  readonly problems: readonly YamlProblem[];
} {
  const reader = new Reader();
  try {
    const json = isNode(document.contents) ? reader.value(document.contents, 0) : null;
    return { json, problems: reader.problems };
  } catch (error) {
    if (error instanceof LimitReached) {
      return { json: null, problems: reader.problems };
    }
    throw error;
  }
}

class LimitReached extends Error {}

class Reader {
  readonly problems: YamlProblem[] = [];
  readonly #anchors = new Map<string, Node>();
  readonly #open = new Set<Node>();
  #values = 0;
  #aliases = 0;

  value(node: Node, depth: number): JsonValue {
    this.#values += 1;
    if (this.#values > valuesMax) {
      this.#end(node, `the file has more than ${valuesMax} values, those of its aliases included`);
    }
    if (depth > depthMax) {
      this.#end(node, `the file is nested deeper than ${depthMax}`);
    }
    if (isAlias(node)) {
      return this.#alias(node, depth);
    }
    if (isScalar(node) || isMap(node) || isSeq(node)) {
      if (node.anchor !== undefined && this.#aliases === 0) {
        this.#anchors.set(node.anchor, node);
      }
      if (node.tag !== undefined && !jsonTags.has(node.tag)) {
        const tag = node.tag.replace("tag:yaml.org,2002:", "!!");
        this.#problem(node, `the tag ${tag} has no equivalent in JSON; write a text in quotes, or remove the tag`);
        return null;
      }
    }
    if (isScalar(node)) {
      return this.#scalar(node);
    }
    this.#open.add(node);
    const json = isMap(node)
      ? this.#map(node, depth)
      : isSeq(node)
        ? node.items.map((item) => (isNode(item) ? this.value(item, depth + 1) : null))
        : null;
    this.#open.delete(node);
    return json;
  }

  #alias(node: Alias, depth: number): JsonValue {
    const target = this.#anchors.get(node.source);
    if (target === undefined) {
      return this.#problem(node, `there is no anchor &${node.source} before it`);
    }
    if (this.#open.has(target)) {
      return this.#problem(node, `*${node.source} refers to a value that contains it`);
    }
    this.#aliases += 1;
    const json = this.value(target, depth);
    this.#aliases -= 1;
    return json;
  }

  #scalar(node: Scalar): JsonValue {
    const { value, source = "" } = node;
    switch (typeof value) {
      case "string":
        if (!value.isWellFormed()) {
          this.#problem(node, "the text has half of a surrogate pair, which UTF-8 cannot encode");
        }
        return value;
      case "boolean":
        return value;
      case "number": {
        const isExact = Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
        if (!isExact) {
          this.#problem(node, `${source} cannot be sent as a number without losing digits; write a text`);
        }
        // Octal in YAML 1.1, decimal in 1.2, and most likely meant as a text such as a postcode.
        if (/^[-+]?0\d/.test(source)) {
          this.#problem(node, `${source} begins with 0: write ${value}, or the text ${JSON.stringify(source)}`);
        }
        return value;
      }
      default:
        if (value !== null) {
          this.#problem(node, `${source} is not a JSON value; write a text in quotes`);
        }
        return null;
    }
  }

  #map(node: YAMLMap, depth: number): JsonObject {
    const members: [string, JsonValue][] = [];
    const names = new Set<string>();
    for (const { key, value } of node.items) {
      const name = this.#name(node, key);
      if (name === undefined) {
        continue;
      }
      if (names.has(name)) {
        this.#problem(isNode(key) ? key : node, `${JSON.stringify(name)} appears twice`);
      }
      names.add(name);
      members.push([name, isNode(value) ? this.value(value, depth + 1) : null]);
    }
    // Object.fromEntries makes `__proto__` an ordinary member (no prototype pollution).
    return Object.fromEntries(members);
  }

  #name(node: YAMLMap, key: unknown): string | undefined {
    if (isMap(key)) {
      this.#problem(key, 'a template needs quotes: write "{{…}}", since {…} is a map in YAML');
      return undefined;
    }
    if (isScalar(key) && key.value === "<<" && key.type === "PLAIN") {
      this.#problem(key, 'YAML 1.2 has no merge keys: write the members out, or the name in quotes, as "<<"');
      return undefined;
    }
    if (isScalar(key) && key.tag === undefined && typeof key.value === "string") {
      return key.value;
    }
    if (isScalar(key) && (typeof key.value === "number" || typeof key.value === "boolean")) {
      return key.source ?? String(key.value);
    }
    this.#problem(isNode(key) ? key : node, "a name must be a text");
    return undefined;
  }

  #problem(node: Node, message: string): null {
    this.problems.push({ offset: node.range?.[0] ?? 0, message });
    return null;
  }

  #end(node: Node, message: string): never {
    this.#problem(node, message);
    throw new LimitReached();
  }
}

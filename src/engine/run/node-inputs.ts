import type { JsonValue } from "@bufbuild/protobuf";
import type { JsonText } from "../../domain/json/json-text.ts";
import { redacted, redactPaths } from "../../domain/json/redacted.ts";
import type { HiddenParts } from "../graph/graph.ts";
import { type Reference, type Source, walk } from "../templates/reference.ts";

/** Larger inputs of one visit are not recorded. */
const inputCharsMax = 256 * 1024;

/** The values of the templates of one node visit, for its record. The parts that other nodes hide are redacted. */
export class NodeInputs {
  readonly #hidden: HiddenParts;
  readonly #values = new Map<string, JsonValue>();
  readonly #redacted = new Map<string, { readonly root: JsonValue; readonly shown: JsonValue }>();

  constructor(hidden: HiddenParts) {
    this.#hidden = hidden;
  }

  /** @param root the value of the reference's source */
  add({ text, source, path }: Reference, root: JsonValue | undefined): void {
    if (source.kind === "variable") {
      this.#values.set(text, redacted);
      return;
    }
    if (source.kind === "node_fact") {
      this.#values.set(text, walk(this.#shownFact(source, root ?? null), path) ?? null);
      return;
    }
    const hidden = source.kind === "node" ? this.#hidden.get(source.nodeId) : undefined;
    const value = walk(root, path);
    if (value === undefined || hidden === undefined) {
      this.#values.set(text, value ?? null);
    } else if (hidden === "all") {
      this.#values.set(text, redacted);
    }
    // A path into a redacted part no longer resolves.
    else if (source.kind === "node") {
      this.#values.set(text, walk(this.#shown(source.nodeId, root ?? null, hidden), path) ?? redacted);
    }
  }

  /** A hidden node's error is shown without what a server said of it. */
  #shownFact({ nodeId, fact }: Extract<Source, { readonly kind: "node_fact" }>, root: JsonValue): JsonValue {
    const hidden = this.#hidden.get(nodeId);
    if (fact !== "error" || hidden === undefined || root === null) {
      return root;
    }
    return redactPaths(root, hidden === "all" ? ["message", "body"] : ["body"]);
  }

  /** Redacts an output, once for all templates that read it. */
  #shown(nodeId: string, root: JsonValue, hidden: readonly string[]): JsonValue {
    const known = this.#redacted.get(nodeId);
    if (known !== undefined && known.root === root) {
      return known.shown;
    }
    const shown = redactPaths(root, hidden);
    this.#redacted.set(nodeId, { root, shown });
    return shown;
  }

  /** A JSON object with a member for each template, by its text between the braces. Undefined where it is too large. */
  get text(): JsonText | undefined {
    const members: string[] = [];
    let length = 2;
    for (const [name, value] of this.#values) {
      const member = `${JSON.stringify(name)}:${JSON.stringify(value)}`;
      length += member.length + 1;
      // Thousands of templates of a large value would exceed the longest string.
      if (length > inputCharsMax) {
        return undefined;
      }
      members.push(member);
    }
    // The text was made from JSON values.
    return `{${members.join(",")}}` as JsonText;
  }
}

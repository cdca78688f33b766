import type { JsonValue } from "@bufbuild/protobuf";
import { redacted, redactPaths } from "../../domain/json/redacted.ts";
import type { JsonText } from "../../domain/json-text.ts";
import { type Reference, walk } from "../templates/reference.ts";

/** What the nodes of a graph hide of their outputs, by id: all of it, or paths in it. */
export type HiddenParts = ReadonlyMap<string, "all" | readonly string[]>;

/** Larger inputs of one visit are not kept. */
const inputCharsMax = 256 * 1024;

/** What the templates of one visit of a node gave, without what the nodes that they read hide. */
export class NodeInputs {
  readonly #hidden: HiddenParts;
  readonly #values = new Map<string, JsonValue>();
  readonly #redacted = new Map<string, { readonly root: JsonValue; readonly shown: JsonValue }>();

  constructor(hidden: HiddenParts) {
    this.#hidden = hidden;
  }

  /** @param root what the reference's source gives */
  add({ text, source, path }: Reference, root: JsonValue | undefined): void {
    const hidden = source.kind === "node" ? this.#hidden.get(source.nodeId) : undefined;
    const value = walk(root, path);
    if (value === undefined || hidden === undefined) this.#values.set(text, value ?? null);
    else if (hidden === "all") this.#values.set(text, redacted);
    // A path that leads into what is hidden resolves no more.
    else if (source.kind === "node")
      this.#values.set(text, walk(this.#shown(source.nodeId, root ?? null, hidden), path) ?? redacted);
  }

  /** An output without what is hidden of it, which is made once for all templates that read it. */
  #shown(nodeId: string, root: JsonValue, hidden: readonly string[]): JsonValue {
    const known = this.#redacted.get(nodeId);
    if (known !== undefined && known.root === root) return known.shown;
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
      // Thousands of templates of a large value would be more than a text can hold.
      if (length > inputCharsMax) return undefined;
      members.push(member);
    }
    // Made of JSON values.
    return `{${members.join(",")}}` as JsonText;
  }
}

import type { JsonValue } from "@bufbuild/protobuf";
import type { JsonText } from "../domain/json-text.ts";
import { redacted, redactPaths } from "../domain/redacted.ts";
import { type Reference, walk } from "./templates/reference.ts";

/** What the nodes of a graph hide of their outputs, by id: all of it, or paths in it. */
export type HiddenParts = ReadonlyMap<string, "all" | readonly string[]>;

/** Larger inputs of one visit are not kept. */
const inputCharsMax = 256 * 1024;

/** What the templates of one visit of a node gave, without what the nodes that they read hide. */
export class NodeInputs {
  readonly #hidden: HiddenParts;
  readonly #values = new Map<string, JsonValue>();

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
    else this.#values.set(text, walk(redactPaths(root ?? null, hidden), path) ?? redacted);
  }

  /** A JSON object with a member for each template, by its text between the braces. Undefined where it is too large. */
  get text(): JsonText | undefined {
    const text = JSON.stringify(Object.fromEntries(this.#values));
    // Made of JSON values.
    return text.length > inputCharsMax ? undefined : (text as JsonText);
  }
}

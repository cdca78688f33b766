import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { faultRefused, invalidJson, jsonPath, limitPassed, rootRefused } from "./json-refusal.ts";
import type { JsonRules } from "./json-rules.ts";
import type { JsonText } from "./json-text.ts";
import { JsonVerdict } from "./json-verdict.ts";

/**
 * Writes a value as JSON text under the rules that `scanJson` holds texts to, with the same verdicts: for a value that
 * came by another way than text, such as a protobuf Struct or a node's output. It does not recurse, so a deep or cyclic
 * value is refused and takes no stack. Throws what `scanJson` throws; an error carries the path, and no byte.
 */
export function checkJson(value: JsonValue, rules: JsonRules): JsonText {
  new ValueWalk(rules).walk(value);
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  const { bytesMax } = rules.limits;
  if (bytes > bytesMax) {
    throw limitPassed({ path: rules.name }, { limit: "bytesMax", max: bytesMax, value: bytes });
  }
  // The walk has just made sure of what the brand says.
  return text as JsonText;
}

/** An open container: `next` counts what was visited of it, `step` leads to what is visited now. */
type Frame = { next: number; step: string | number | undefined } & (
  | { readonly items: readonly JsonValue[] }
  | { readonly members: JsonObject; readonly names: readonly string[] }
);

class ValueWalk {
  readonly #rules: JsonRules;
  readonly #verdict: JsonVerdict;
  readonly #frames: Frame[] = [];

  constructor(rules: JsonRules) {
    this.#rules = rules;
    this.#verdict = new JsonVerdict(rules.limits, (fault) => {
      const isOfAll = "limit" in fault && fault.limit === "bytesMax";
      throw faultRefused(isOfAll ? { path: rules.name } : this.#place(), fault);
    });
  }

  walk(root: JsonValue): void {
    const isObject = typeof root === "object" && root !== null && !Array.isArray(root);
    if (this.#rules.root === "object" && !isObject) {
      throw rootRefused(this.#place());
    }
    this.#enter(root);
    for (let frame = this.#frames.at(-1); frame !== undefined; frame = this.#frames.at(-1)) {
      if ("items" in frame) {
        this.#nextItem(frame);
      } else {
        this.#nextMember(frame);
      }
    }
  }

  #nextItem(frame: Extract<Frame, { items: unknown }>): void {
    if (frame.next === frame.items.length) {
      this.#frames.pop();
      return;
    }
    frame.step = frame.next++;
    this.#enter(frame.items[frame.step]);
  }

  #nextMember(frame: Extract<Frame, { members: unknown }>): void {
    const name = frame.names[frame.next];
    if (name === undefined) {
      this.#frames.pop();
      return;
    }
    frame.step = undefined;
    this.#verdict.members(++frame.next);
    this.#verdict.text(name);
    frame.step = name;
    this.#enter(frame.members[name]);
  }

  #enter(value: JsonValue | undefined): void {
    this.#verdict.value();
    switch (typeof value) {
      case "string":
        this.#verdict.text(value);
        return;
      case "number":
        this.#verdict.number(value);
        return;
      case "boolean":
        return;
      case "object":
        if (value !== null) {
          this.#open(value);
        }
        return;
      default:
        throw invalidJson(this.#place(), `holds a value of the type ${typeof value}, which JSON does not know`);
    }
  }

  #open(value: JsonObject | JsonValue[]): void {
    this.#verdict.depth(this.#frames.length + 1);
    if (Array.isArray(value)) {
      this.#frames.push({ items: value, next: 0, step: undefined });
    } else {
      this.#frames.push({ members: value, names: Object.keys(value), next: 0, step: undefined });
    }
  }

  #place(): { path: string } {
    const steps = this.#frames.flatMap((frame) => (frame.step === undefined ? [] : [frame.step]));
    return { path: jsonPath(this.#rules.name, steps) };
  }
}

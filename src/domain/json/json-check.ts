import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { JsonText } from "../json-text.ts";
import {
  invalidJson,
  jsonPath,
  limitPassed,
  loneSurrogateProblem,
  nulProblem,
  numberProblem,
  rootRefused,
} from "./json-refusal.ts";
import type { JsonRules } from "./json-rules.ts";

/**
 * Writes a value as JSON text under the rules that `scanJson` holds texts to, with the same verdicts: for a value that
 * came by another way than text, such as a protobuf Struct or a node's output. Does not recurse, so a deep or cyclic
 * value is refused and no more. Throws what `scanJson` throws; an error carries the path, and no byte.
 */
export function checkJson(value: JsonValue, rules: JsonRules): JsonText {
  new JsonWalk(rules).walk(value);
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  if (bytes > rules.limits.bytesMax) throw bytesPassed(rules, bytes);
  // The walk has just made sure of what the brand says.
  return text as JsonText;
}

/** An open container: `next` counts what was visited of it, `step` leads to what is visited now. */
type Frame = { next: number; step: string | number | undefined } & (
  | { readonly items: readonly JsonValue[] }
  | { readonly members: JsonObject; readonly names: readonly string[] }
);

class JsonWalk {
  private readonly rules: JsonRules;
  private readonly frames: Frame[] = [];
  private values = 0;
  /** A lower bound of the text's bytes, so that a huge value is not written out to be measured. */
  private bytes = 0;

  constructor(rules: JsonRules) {
    this.rules = rules;
  }

  walk(root: JsonValue): void {
    const isObject = typeof root === "object" && root !== null && !Array.isArray(root);
    if (this.rules.root === "object" && !isObject) throw rootRefused(this.place());
    this.enter(root);
    for (let frame = this.frames.at(-1); frame !== undefined; frame = this.frames.at(-1)) {
      if ("items" in frame) this.nextItem(frame);
      else this.nextMember(frame);
    }
  }

  private nextItem(frame: Extract<Frame, { items: unknown }>): void {
    if (frame.next === frame.items.length) {
      this.frames.pop();
      return;
    }
    frame.step = frame.next++;
    this.enter(frame.items[frame.step]);
  }

  private nextMember(frame: Extract<Frame, { members: unknown }>): void {
    const name = frame.names[frame.next];
    if (name === undefined) {
      this.frames.pop();
      return;
    }
    frame.step = undefined;
    if (++frame.next > this.rules.limits.keysMax) this.pass("keysMax", frame.next);
    this.string(name);
    frame.step = name;
    this.enter(frame.members[name]);
  }

  private enter(value: JsonValue | undefined): void {
    if (++this.values > this.rules.limits.valuesMax) this.pass("valuesMax", this.values);
    switch (typeof value) {
      case "string":
        this.string(value);
        return;
      case "number": {
        const problem = numberProblem(value, String(value));
        if (problem !== undefined) throw invalidJson(this.place(), problem);
        return;
      }
      case "boolean":
        return;
      case "object":
        if (value !== null) this.open(value);
        return;
      default:
        throw invalidJson(this.place(), `holds a value of the type ${typeof value}, which JSON does not know`);
    }
  }

  private open(value: JsonObject | JsonValue[]): void {
    if (this.frames.length === this.rules.limits.depthMax) this.pass("depthMax", this.frames.length + 1);
    if (Array.isArray(value)) this.frames.push({ items: value, next: 0, step: undefined });
    else this.frames.push({ members: value, names: Object.keys(value), next: 0, step: undefined });
  }

  private string(text: string): void {
    this.bytes += text.length + 2;
    if (this.bytes > this.rules.limits.bytesMax) throw bytesPassed(this.rules, this.bytes);
    if (!text.isWellFormed()) throw invalidJson(this.place(), loneSurrogateProblem);
    if (text.includes("\0")) throw invalidJson(this.place(), nulProblem);
  }

  private pass(limit: keyof JsonRules["limits"], value: number): never {
    throw limitPassed(this.place(), { limit, max: this.rules.limits[limit], value });
  }

  private place(): { path: string } {
    const steps = this.frames.flatMap((frame) => (frame.step === undefined ? [] : [frame.step]));
    return { path: jsonPath(this.rules.name, steps) };
  }
}

function bytesPassed(rules: JsonRules, value: number): Error {
  return limitPassed({ path: rules.name }, { limit: "bytesMax", max: rules.limits.bytesMax, value });
}

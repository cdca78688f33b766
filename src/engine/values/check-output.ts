import type { JsonText } from "../../domain/json-text.ts";
import type { JsonLimits } from "../../domain/limits.ts";
import { NodeFailure } from "../errors/node-failure.ts";

/** An output that was checked where it was computed, in another process. */
export class CheckedOutput {
  readonly text: JsonText;

  constructor(text: JsonText) {
    this.text = text;
  }
}

/**
 * Turns what a node computed into JSON text, or fails the node with OUTPUT_TOO_LARGE or OUTPUT_INVALID.
 *
 * JSONata answers more than JSON: undefined becomes null (a member that is undefined is left out), a sequence becomes
 * the array it stands for, a function is refused. The walk counts every visit, so a small value that names the same
 * part a million times is refused before it is written out.
 */
export function checkOutput(value: unknown, limits: JsonLimits): JsonText {
  if (value instanceof CheckedOutput) return value.text;
  const walk = new Walk(limits);
  walk.push(value, 1);
  while (walk.next()) {
    // Each step checks one value and leaves its children for later steps.
  }
  const text = JSON.stringify(value ?? null);
  if (Buffer.byteLength(text) > limits.bytesMax) {
    throw tooLarge("bytesMax", limits.bytesMax, "bytes");
  }
  // The text is within its limits and free of what Postgres and JSON readers refuse.
  return text as JsonText;
}

class Walk {
  readonly #limits: JsonLimits;
  readonly #values: unknown[] = [];
  readonly #depths: number[] = [];
  #count = 0;
  #bytes = 0;

  constructor(limits: JsonLimits) {
    this.#limits = limits;
  }

  push(value: unknown, depth: number): void {
    this.#values.push(value);
    this.#depths.push(depth);
  }

  next(): boolean {
    const depth = this.#depths.pop();
    if (depth === undefined) {
      return false;
    }
    this.#visit(this.#values.pop(), depth);
    return true;
  }

  #visit(value: unknown, depth: number): void {
    this.#count += 1;
    this.#checkCount(this.#count);
    if (typeof value === "string") {
      this.#checkText(value);
    } else if (typeof value === "number") {
      if (!Number.isFinite(value)) {
        throw new NodeFailure("OUTPUT_INVALID", `The output holds ${value}, which JSON cannot say.`);
      }
    } else if (typeof value === "object" && value !== null) {
      if (depth > this.#limits.depthMax) {
        throw tooLarge("depthMax", this.#limits.depthMax, "nested containers");
      }
      if (Array.isArray(value)) {
        this.#visitArray(value, depth);
      } else {
        this.#visitObject(value, depth);
      }
    } else if (typeof value !== "boolean" && value !== undefined && value !== null) {
      throw unsayable(value);
    }
  }

  #visitArray(array: readonly unknown[], depth: number): void {
    this.#checkCount(this.#count + array.length);
    for (const item of array) {
      this.push(item, depth + 1);
    }
  }

  #visitObject(object: object, depth: number): void {
    const prototype = Object.getPrototypeOf(object);
    if (prototype !== null && prototype !== Object.prototype) {
      throw new NodeFailure("OUTPUT_INVALID", "The output holds a value that is not JSON.");
    }
    const members = Object.entries(object);
    if (members.length > this.#limits.keysMax) {
      throw tooLarge("keysMax", this.#limits.keysMax, "members in one object");
    }
    for (const [key, member] of members) {
      // A lambda of JSONata is an object with functions in it, and must not be walked as if it were data.
      if (typeof member === "function") {
        throw unsayable(member);
      }
      if (member !== undefined) {
        this.#checkText(key);
        this.push(member, depth + 1);
      }
    }
  }

  #checkText(text: string): void {
    // UTF-8 never takes fewer bytes than UTF-16 has units, so this sum can stop the walk early.
    this.#bytes += text.length;
    if (this.#bytes > this.#limits.bytesMax) {
      throw tooLarge("bytesMax", this.#limits.bytesMax, "bytes");
    }
    if (text.includes("\u0000")) {
      throw new NodeFailure("OUTPUT_INVALID", "The output holds a text with a NUL character, which cannot be kept.");
    }
    if (!text.isWellFormed()) {
      throw new NodeFailure("OUTPUT_INVALID", "The output holds a text with half a surrogate pair.");
    }
  }

  #checkCount(count: number): void {
    if (count > this.#limits.valuesMax) {
      throw tooLarge("valuesMax", this.#limits.valuesMax, "values");
    }
  }
}

function tooLarge(limit: keyof JsonLimits, max: number, unit: string): NodeFailure {
  return new NodeFailure("OUTPUT_TOO_LARGE", `The output has more than ${max} ${unit} (limit output.${limit}).`);
}

function unsayable(value: unknown): NodeFailure {
  return new NodeFailure("OUTPUT_INVALID", `The output holds a ${typeof value}, which JSON cannot say.`);
}

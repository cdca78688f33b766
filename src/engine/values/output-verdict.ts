import type { JsonFault } from "../../domain/json/json-problems.ts";
import { JsonVerdict } from "../../domain/json/json-verdict.ts";
import type { JsonLimits } from "../../domain/limits.ts";
import { NodeFailure } from "../errors/node-failure.ts";

/**
 * Fails the node with OUTPUT_TOO_LARGE or OUTPUT_INVALID for the first fault of its output, if there is one. Does not recurse.
 *
 * @param text the output as JSON, once it is known to be small enough to be written
 */
export function refuseFaults(value: unknown, limits: JsonLimits, text?: string): void {
  const verdict = new JsonVerdict(limits, refuseOutput);
  const walk = new Walk(verdict);
  walk.push(value, 1);
  while (walk.next()) {
    // Each step checks one value, and adds its children for later steps.
  }
  if (text !== undefined) {
    verdict.bytes(Buffer.byteLength(text));
  }
}

class Walk {
  readonly #verdict: JsonVerdict;
  readonly #values: unknown[] = [];
  readonly #depths: number[] = [];

  constructor(verdict: JsonVerdict) {
    this.#verdict = verdict;
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
    this.#verdict.value();
    if (typeof value === "string") {
      this.#verdict.text(value);
    } else if (typeof value === "number") {
      if (!Number.isFinite(value)) {
        throw new NodeFailure("OUTPUT_INVALID", `The output holds ${value}, which JSON cannot express.`);
      }
    } else if (typeof value === "object" && value !== null) {
      this.#verdict.depth(depth);
      if (Array.isArray(value)) {
        this.#visitArray(value, depth);
      } else {
        this.#visitObject(value, depth);
      }
    } else if (typeof value !== "boolean" && value !== undefined && value !== null) {
      throw notJson(value);
    }
  }

  #visitArray(array: readonly unknown[], depth: number): void {
    this.#verdict.announced(array.length);
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
    this.#verdict.members(members.length);
    for (const [key, member] of members) {
      // A lambda of JSONata is an object with functions in it, and must not be treated as data.
      if (typeof member === "function") {
        throw notJson(member);
      }
      if (member !== undefined) {
        this.#verdict.text(key);
        this.push(member, depth + 1);
      }
    }
  }
}

const units: Readonly<Record<keyof JsonLimits, string>> = {
  bytesMax: "bytes",
  valuesMax: "values",
  keysMax: "members in one object",
  depthMax: "nested containers",
};

function refuseOutput(fault: JsonFault): never {
  if ("problem" in fault) {
    throw new NodeFailure("OUTPUT_INVALID", `The output ${fault.problem}.`);
  }
  const { limit, max } = fault;
  throw new NodeFailure("OUTPUT_TOO_LARGE", `The output has more than ${max} ${units[limit]} (limit output.${limit}).`);
}

function notJson(value: unknown): NodeFailure {
  return new NodeFailure("OUTPUT_INVALID", `The output holds a ${typeof value}, which JSON cannot express.`);
}

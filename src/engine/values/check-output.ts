import type { JsonText } from "../../domain/json/json-text.ts";
import type { JsonLimits } from "../../domain/limits.ts";
import { refuseFaults } from "./output-verdict.ts";

/** An output that a child process has computed and checked. */
export class CheckedOutput {
  readonly text: JsonText;

  constructor(text: JsonText) {
    this.text = text;
  }
}

/**
 * Serialises the output of a node, or fails the node with OUTPUT_TOO_LARGE or OUTPUT_INVALID.
 *
 * JSONata gives more than JSON: undefined becomes null (an undefined member is left out), a sequence becomes an array, and a
 * function is refused. The walk counts each visit, so a small value that refers to one part a million times is refused before
 * it is serialised (the "billion laughs" attack). It only finds values without any fault; what is wrong with another one
 * `refuseFaults` says.
 */
export function checkOutput(value: unknown, limits: JsonLimits): JsonText {
  if (value instanceof CheckedOutput) {
    return value.text;
  }
  if (!isFaultless(value, { limits, depth: 0, values: 0, chars: 0 })) {
    refuseFaults(value, limits);
  }
  const text = JSON.stringify(value ?? null);
  // NUL and half a surrogate pair are written as escapes, as are some characters that may stay.
  if (text.length * utf8BytesMax > limits.bytesMax || text.includes("\\u")) {
    refuseFaults(value, limits, text);
  }
  // The text is within its limits and free of what Postgres and JSON readers refuse.
  return text as JsonText;
}

/** The UTF-8 bytes of one character of a JavaScript string, at most. */
const utf8BytesMax = 3;

/** A walk: the containers around the value that it is at, and the values and characters so far. */
type Walk = { readonly limits: JsonLimits; depth: number; values: number; chars: number };

/** Recursion goes no deeper than the limit. */
function isFaultless(value: unknown, walk: Walk): boolean {
  walk.values += 1;
  switch (typeof value) {
    case "string":
      return isTextWithin(value, walk);
    case "number":
      return Number.isFinite(value);
    case "undefined":
    case "boolean":
      return true;
    case "object":
      return value === null || isContainerFaultless(value, walk);
    default:
      return false;
  }
}

function isContainerFaultless(value: object, walk: Walk): boolean {
  const { limits } = walk;
  walk.depth += 1;
  if (walk.depth > limits.depthMax) {
    return false;
  }
  const isFine = Array.isArray(value) ? isArrayFaultless(value, walk) : isObjectFaultless(value, walk);
  walk.depth -= 1;
  return isFine && walk.values <= limits.valuesMax;
}

function isArrayFaultless(items: readonly unknown[], walk: Walk): boolean {
  if (walk.values + items.length > walk.limits.valuesMax) {
    return false;
  }
  for (const item of items) {
    if (!isFaultless(item, walk)) {
      return false;
    }
  }
  return true;
}

function isObjectFaultless(object: object, walk: Walk): boolean {
  const prototype = Object.getPrototypeOf(object);
  if (prototype !== null && prototype !== Object.prototype) {
    return false;
  }
  const names = Object.keys(object);
  if (names.length > walk.limits.keysMax || walk.values > walk.limits.valuesMax) {
    return false;
  }
  for (const name of names) {
    // The names are its own.
    const member = (object as Record<string, unknown>)[name];
    if (member !== undefined && !(isTextWithin(name, walk) && isFaultless(member, walk))) {
      return false;
    }
  }
  return true;
}

function isTextWithin(text: string, walk: Walk): boolean {
  walk.chars += text.length + 2;
  return walk.chars <= walk.limits.bytesMax;
}

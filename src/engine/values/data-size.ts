import type { JsonValue } from "@bufbuild/protobuf";
import { isReservedName } from "./reserved-names.ts";

/** Queries on larger data run in the pool. */
export const inlineCharsMax = 64 * 1024;
/** Each value counts this many characters in addition to its text. */
const valueChars = 4;
/** The sizes of smaller objects are not kept: to measure them again costs less than to remember them. */
const knownCharsMin = 1024;

/** Measures the data that queries read, up to `inlineCharsMax`. Nodes share data, so each large object is measured once. */
export class DataSizes {
  readonly #known = new WeakMap<object, number>();

  /** Infinity where the data is too large for a query on the thread, or contains a reserved name. */
  of(value: JsonValue | undefined): number {
    if (typeof value !== "object" || value === null) {
      return typeof value === "string" ? value.length : valueChars;
    }
    const known = this.#known.get(value);
    if (known !== undefined) {
      return known;
    }
    const size = sizeOf(value);
    if (size >= knownCharsMin) {
      this.#known.set(value, size);
    }
    return size;
  }
}

function sizeOf(root: object): number {
  let size = 0;
  const waiting: object[] = [root];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (Array.isArray(next)) {
      for (const item of next) {
        size += valueChars + charsOf(item, waiting);
        if (size > inlineCharsMax) {
          return Number.POSITIVE_INFINITY;
        }
      }
      continue;
    }
    // Objects from JSON have own members only.
    for (const name in next) {
      size += valueChars + name.length + charsOf((next as Record<string, unknown>)[name], waiting);
      if (size > inlineCharsMax || (name.startsWith("_") && isReservedName(name))) {
        return Number.POSITIVE_INFINITY;
      }
    }
  }
  return size;
}

/** The characters of a text. A container is measured later. */
function charsOf(value: unknown, waiting: object[]): number {
  if (typeof value === "string") {
    return value.length;
  }
  if (typeof value === "object" && value !== null) {
    waiting.push(value);
  }
  return 0;
}

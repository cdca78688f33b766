import type { JsonValue } from "@bufbuild/protobuf";
import { isReservedObject } from "./reserved-names.ts";

/** Queries on larger data run in the pool. */
export const inlineCharsMax = 64 * 1024;
/** Each value counts this many characters in addition to its text. */
const valueChars = 4;

/** Measures the data that queries read, up to `inlineCharsMax`. Nodes share data, so each object is measured once. */
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
    this.#known.set(value, size);
    return size;
  }
}

function sizeOf(root: object): number {
  let size = 0;
  const waiting: object[] = [root];
  const add = (value: unknown) => {
    size += valueChars;
    if (typeof value === "string") {
      size += value.length;
    } else if (typeof value === "object" && value !== null) {
      waiting.push(value);
    }
    return size <= inlineCharsMax;
  };
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (isReservedObject(next)) {
      return Number.POSITIVE_INFINITY;
    }
    if (Array.isArray(next)) {
      for (const item of next) {
        if (!add(item)) {
          return Number.POSITIVE_INFINITY;
        }
      }
      continue;
    }
    for (const name in next) {
      size += name.length;
      // Objects from JSON have own members only.
      if (!add((next as Record<string, unknown>)[name])) {
        return Number.POSITIVE_INFINITY;
      }
    }
  }
  return size;
}

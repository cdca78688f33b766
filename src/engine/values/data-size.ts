import type { JsonValue } from "@bufbuild/protobuf";
import { isReservedObject } from "./reserved-names.ts";

/** Data of more characters is left to the pool. A value counts a few beside its text. */
export const inlineCharsMax = 64 * 1024;
const valueChars = 4;

/** Sizes of the data that queries read, as far as `inlineCharsMax`. Nodes share their data, so each is measured once. */
export class DataSizes {
  readonly #known = new WeakMap<object, number>();

  /** Infinity where the data is too large for a query in line, or has a name in it that no data may have. */
  of(value: JsonValue | undefined): number {
    if (typeof value !== "object" || value === null) return typeof value === "string" ? value.length : valueChars;
    const known = this.#known.get(value);
    if (known !== undefined) return known;
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
    if (typeof value === "string") size += value.length;
    else if (typeof value === "object" && value !== null) waiting.push(value);
    return size <= inlineCharsMax;
  };
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (isReservedObject(next)) return Number.POSITIVE_INFINITY;
    if (Array.isArray(next)) {
      for (const item of next) if (!add(item)) return Number.POSITIVE_INFINITY;
      continue;
    }
    for (const name in next) {
      size += name.length;
      // JSON's objects have no members but their own.
      if (!add((next as Record<string, unknown>)[name])) return Number.POSITIVE_INFINITY;
    }
  }
  return size;
}

import type { JsonValue } from "@bufbuild/protobuf";
import { type Reference, type TextScope, walk } from "../templates/reference.ts";
import { DataSizes } from "../values/data-size.ts";

/** A value that a task reads, and where it is from, if it is from one place. */
export type Data = { readonly value: JsonValue | undefined; readonly reference?: Reference | undefined };

/** A value inside of one of the texts: the place of the text, and the way down. Absent where there is none. */
export type DataPlace = { readonly text: number; readonly path: readonly string[] } | undefined;

/**
 * The JSON texts of what a task reads. Where a text is known it is sent as it is, since to write a large value takes time;
 * else each value is written once.
 */
export class DataTexts {
  readonly all: string[] = [];
  readonly #scope: Pick<TextScope, "textOf">;
  readonly #sizes: DataSizes;
  readonly #places = new Map<string, number>();
  readonly #written = new Map<JsonValue, DataPlace>();

  constructor(scope: Pick<TextScope, "textOf">, sizes = new DataSizes()) {
    this.#scope = scope;
    this.#sizes = sizes;
  }

  place({ value, reference }: Data): DataPlace {
    if (value === undefined) return undefined;
    const isLarge = this.#sizes.of(value) === Number.POSITIVE_INFINITY;
    const root =
      reference && (isLarge || reference.path.length === 0) ? this.#scope.textOf(reference.source) : undefined;
    if (root !== undefined) return { text: this.#add(root), path: reference?.path ?? [] };
    const written = this.#written.get(value) ?? { text: this.#add(JSON.stringify(value)), path: [] };
    this.#written.set(value, written);
    return written;
  }

  #add(text: string): number {
    const known = this.#places.get(text);
    if (known !== undefined) return known;
    this.#places.set(text, this.all.length);
    return this.all.push(text) - 1;
  }
}

/** Finds values in the texts that `DataTexts` made. */
export function findData(texts: readonly string[]): (data: DataPlace) => JsonValue | undefined {
  // The service sends JSON texts alone.
  const roots = texts.map((text) => JSON.parse(text) as JsonValue);
  return (data) => (data === undefined ? undefined : walk(roots[data.text], data.path));
}

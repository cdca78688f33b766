import type { JsonValue } from "@bufbuild/protobuf";
import { type Reference, type TextScope, walk } from "../templates/reference.ts";
import { DataSizes } from "../values/data-size.ts";

/** A value that a task reads, and the template that it came from, where it is the value of one template. */
export type Data = { readonly value: JsonValue | undefined; readonly reference?: Reference | undefined };

/** Points to a value inside one of a task's texts: the index of the text and the path in it. Absent where there is no value. */
export type DataPointer = { readonly text: number; readonly path: readonly string[] } | undefined;

/**
 * Collects the JSON texts of the values that a task reads. A text that the scope still has is sent as it is, because
 * serialising a large value blocks the thread; every other value is serialised once.
 */
export class DataTexts {
  readonly all: string[] = [];
  readonly #scope: Pick<TextScope, "textOf">;
  readonly #sizes: DataSizes;
  readonly #indexes = new Map<string, number>();
  readonly #serialised = new Map<JsonValue, DataPointer>();

  constructor(scope: Pick<TextScope, "textOf">, sizes = new DataSizes()) {
    this.#scope = scope;
    this.#sizes = sizes;
  }

  add({ value, reference }: Data): DataPointer {
    if (value === undefined) {
      return undefined;
    }
    const isLarge = this.#sizes.of(value) === Number.POSITIVE_INFINITY;
    const root =
      reference && (isLarge || reference.path.length === 0) ? this.#scope.textOf(reference.source) : undefined;
    if (root !== undefined) {
      return { text: this.#addText(root), path: reference?.path ?? [] };
    }
    const pointer = this.#serialised.get(value) ?? { text: this.#addText(JSON.stringify(value)), path: [] };
    this.#serialised.set(value, pointer);
    return pointer;
  }

  #addText(text: string): number {
    const known = this.#indexes.get(text);
    if (known !== undefined) {
      return known;
    }
    this.#indexes.set(text, this.all.length);
    return this.all.push(text) - 1;
  }
}

/** Finds the values that pointers of `DataTexts` lead to. */
export function resolveData(texts: readonly string[]): (pointer: DataPointer) => JsonValue | undefined {
  // The service sends nothing but JSON texts.
  const roots = texts.map((text) => JSON.parse(text) as JsonValue);
  return (pointer) => (pointer === undefined ? undefined : walk(roots[pointer.text], pointer.path));
}

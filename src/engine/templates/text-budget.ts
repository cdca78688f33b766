import type { JsonValue } from "@bufbuild/protobuf";
import { NodeFailure } from "../errors/node-failure.ts";

/**
 * The texts of one rendering. Their lengths are added up while they are made, so that a short text with many templates
 * of a large value fails before it is put together, and the JSON of a value that is used many times is written once.
 */
export class Texts {
  readonly #max: number;
  readonly #fail: TextFailure;
  readonly #jsons: Map<object, string>;
  #length = 0;

  /** @param max the characters of all texts together */
  constructor(max: number, fail: TextFailure = outputTooLarge, jsons: Map<object, string> = new Map()) {
    this.#max = max;
    this.#fail = fail;
    this.#jsons = jsons;
  }

  /** The same for another text, which has its own length. */
  another(): Texts {
    return new Texts(this.#max, this.#fail, this.#jsons);
  }

  /** Counts a text that goes in as it is. */
  take(text: string): string {
    this.#length += text.length;
    if (this.#length > this.#max) throw this.#fail(this.#max);
    return text;
  }

  /** What a value is inside a text, as textOf says. */
  takeValue(value: JsonValue | undefined): string {
    if (typeof value !== "object" || value === null) return this.take(textOf(value));
    const known = this.#jsons.get(value);
    if (known !== undefined) return this.take(known);
    const text = JSON.stringify(value);
    this.#jsons.set(value, text);
    return this.take(text);
  }
}

export type TextFailure = (max: number) => NodeFailure;

const outputTooLarge: TextFailure = (max) => {
  const message = `A text with templates came out with more than ${max} characters (limit output.bytesMax).`;
  return new NodeFailure("OUTPUT_TOO_LARGE", message);
};

/** The same for what a request is made of. */
export const requestTooLarge: TextFailure = (max) => {
  const message = `A part of the request came out with more than ${max} characters (limit output.bytesMax).`;
  return new NodeFailure("REQUEST_TOO_LARGE", message, { isFinal: true });
};

/** What a value is inside a text: a string goes in as it is, another value as JSON, an unresolved path as nothing. */
export function textOf(value: JsonValue | undefined): string {
  if (value === undefined) {
    return "";
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

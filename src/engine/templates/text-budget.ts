import type { JsonValue } from "@bufbuild/protobuf";
import { NodeFailure } from "../errors/node-failure.ts";

/**
 * The budget of characters for the texts of one rendering. It is charged before texts are joined, so that a short text with many
 * templates of a large value fails before it takes memory. The JSON of a value that is used many times is made once.
 */
export class TextBudget {
  readonly #max: number;
  readonly #fail: TextFailure;
  /** Made for the first container: most texts have none. */
  #jsons: Map<object, string> | undefined;
  #length = 0;

  /** @param max the limit for all texts together */
  constructor(max: number, fail: TextFailure = outputTooLarge, jsons?: Map<object, string>) {
    this.#max = max;
    this.#fail = fail;
    this.#jsons = jsons;
  }

  /** A new budget that shares the cache of JSON. */
  renew(): TextBudget {
    this.#jsons ??= new Map();
    return new TextBudget(this.#max, this.#fail, this.#jsons);
  }

  /** Charges a text, and gives it back. */
  take(text: string): string {
    this.#length += text.length;
    if (this.#length > this.#max) {
      throw this.#fail(this.#max);
    }
    return text;
  }

  /** Charges the text of a value, and gives it as `textOf` does. */
  takeValue(value: JsonValue | undefined): string {
    if (typeof value !== "object" || value === null) {
      return this.take(textOf(value));
    }
    this.#jsons ??= new Map();
    const known = this.#jsons.get(value);
    if (known !== undefined) {
      return this.take(known);
    }
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

/** The same for the parts of a request. */
export const requestTooLarge: TextFailure = (max) => {
  const message = `A part of the request came out with more than ${max} characters (limit output.bytesMax).`;
  return new NodeFailure("REQUEST_TOO_LARGE", message, { isFinal: true });
};

/** Renders a value inside of a text: a string as it is, any other value as JSON, and an unresolved path as nothing. */
export function textOf(value: JsonValue | undefined): string {
  if (value === undefined) {
    return "";
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

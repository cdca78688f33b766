import type { JsonLimits } from "../limits.ts";
import { givenTwiceProblem, type JsonFault, numberProblem, textProblem } from "./json-problems.ts";

/**
 * The rules for JSON that comes in or goes out, whatever its form: a walker of a text, of values, or of protobuf's bytes
 * reports what it meets, and each fault goes to `refuse`, which knows the place and throws. A new rule is added here.
 */
export class JsonVerdict {
  readonly #limits: JsonLimits;
  readonly #refuse: (fault: JsonFault) => never;
  #values = 0;
  #textBytes = 0;

  constructor(limits: JsonLimits, refuse: (fault: JsonFault) => never) {
    this.#limits = limits;
    this.#refuse = refuse;
  }

  /** One more value of any kind, the root included. */
  value(): void {
    this.#values += 1;
    if (this.#values > this.#limits.valuesMax) {
      this.#pass("valuesMax", this.#values);
    }
  }

  /** Values that a container holds, before they are walked. */
  announced(values: number): void {
    const sum = this.#values + values;
    if (sum > this.#limits.valuesMax) {
      this.#pass("valuesMax", sum);
    }
  }

  /** @param depth the containers from the root to here, both included */
  depth(depth: number): void {
    if (depth > this.#limits.depthMax) {
      this.#pass("depthMax", depth);
    }
  }

  /** @param count the members of one object so far */
  members(count: number): void {
    if (count > this.#limits.keysMax) {
      this.#pass("keysMax", count);
    }
  }

  /** @param bytes the bytes of the whole text, or of what is there of it */
  bytes(bytes: number): void {
    if (bytes > this.#limits.bytesMax) {
      this.#pass("bytesMax", bytes);
    }
  }

  /** A string or a name. Its length counts as bytes, of which UTF-8 has no fewer: a huge value is not written out first. */
  text(text: string): void {
    this.#textBytes += text.length + 2;
    this.bytes(this.#textBytes);
    const problem = textProblem(text);
    if (problem !== undefined) {
      this.#refuse({ problem });
    }
  }

  /** @param spelling the number as the refusal shows it */
  number(value: number, spelling = String(value)): void {
    const problem = numberProblem(value, spelling);
    if (problem !== undefined) {
      this.#refuse({ problem });
    }
  }

  /** A name that its object already has. */
  nameTwice(): never {
    return this.#refuse({ problem: givenTwiceProblem });
  }

  #pass(limit: keyof JsonLimits, value: number): never {
    return this.#refuse({ limit, max: this.#limits[limit], value });
  }
}

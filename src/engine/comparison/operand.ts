import type { JsonValue } from "@bufbuild/protobuf";
import { isDay } from "../../domain/json/day.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { type Decimal, parseDecimal } from "../values/decimal.ts";
import { type Moment, parseMoment } from "../values/instant.ts";
import { parseLossless } from "../values/lossless-json.ts";

/** The work of one evaluation of a Rule: the characters and values that its comparisons read. */
export class ComparisonWork {
  #left: number;
  readonly #fail: () => Error;
  readonly #names = new WeakMap<object, readonly string[]>();

  /** @param fail what is thrown where the comparisons read more than they may */
  constructor(max = comparisonWorkMax, fail: () => Error = tooMuchRead) {
    this.#left = max;
    this.#fail = fail;
  }

  spend(work: number): void {
    this.#left -= work;
    if (this.#left < 0) throw this.#fail();
  }

  /** The names of an object's members, which V8 gathers anew each time: they are kept where there are many. */
  namesOf(object: object): readonly string[] {
    const known = this.#names.get(object);
    if (known !== undefined) return known;
    const names = Object.keys(object);
    this.spend(names.length * charsOfName);
    if (names.length > fewNames) this.#names.set(object, names);
    return names;
  }
}

const charsOfName = 20;
const fewNames = 8;

/** Characters; a value counts as `workOfValue`. Two sides of the largest size that an output may have are within it. */
export const comparisonWorkMax = 16 * 1024 * 1024;

function tooMuchRead(): NodeFailure {
  return comparisonTooLarge(
    `The comparisons read more than ${comparisonWorkMax} characters of their sides (limit comparison_work). Compare less, or compute it in a Transform.`,
  );
}

export function comparisonTooLarge(message: string): NodeFailure {
  return new NodeFailure("COMPARISON_TOO_LARGE", message, { isFinal: true });
}

const workOfValue = 50;

/** One side of a comparison, with what is made of it: once, however many values it is compared with. */
export class Side {
  readonly value: JsonValue;
  readonly work: ComparisonWork;
  #container: { readonly made: object | undefined } | undefined;
  #decimal: { readonly made: Decimal | undefined } | undefined;

  constructor(value: JsonValue, work: ComparisonWork) {
    this.value = value;
    this.work = work;
    if (typeof value === "string") work.spend(value.length);
  }

  /** What texts, numbers and booleans are written as. */
  get text(): string | undefined {
    const { value } = this;
    return value === null || typeof value === "object" ? undefined : String(value);
  }

  /**
   * The number that a number is, or a text that is written as a plain decimal. A text with an exponent is a text:
   * commit ids and the hashes of passwords look like that.
   */
  get decimal(): Decimal | undefined {
    this.#decimal ??= { made: this.#readDecimal() };
    return this.#decimal.made;
  }

  /** The object or array that the value is, or is the JSON text of. */
  get container(): object | undefined {
    this.#container ??= { made: this.#readContainer() };
    return this.#container.made;
  }

  /** The instant that a text is a date-time of. */
  get moment(): Moment | undefined {
    return typeof this.value === "string" ? parseMoment(this.value) : undefined;
  }

  /** The text, where it is a day. */
  get day(): string | undefined {
    return typeof this.value === "string" && isDay(this.value) ? this.value : undefined;
  }

  #readDecimal(): Decimal | undefined {
    const { value } = this;
    if (typeof value === "number") return parseDecimal(String(value));
    return typeof value === "string" && /^-?\d[\d.]*$/.test(value) ? parseDecimal(value) : undefined;
  }

  #readContainer(): object | undefined {
    const { value } = this;
    if (typeof value === "object") {
      return value ?? undefined;
    }
    if (typeof value !== "string" || !/^\s*[[{]/.test(value)) {
      return undefined;
    }
    this.work.spend(value.length * charsOfParsing);
    try {
      // A long id is the text that an HTTP node's answer has of it, and not the number next to it.
      const parsed: unknown = parseLossless(value);
      return typeof parsed === "object" && parsed !== null ? parsed : undefined;
    } catch {
      return undefined;
    }
  }
}

/** To parse a character takes as long as to read some. */
const charsOfParsing = 4;

/**
 * Whether two containers hold the same, whatever the order of members. It ends at the first difference, and goes no
 * further in the larger one than the smaller one reaches: to compare one value with each item of a list takes no longer
 * than to read the list. One of them is a value of the run, so they are followed no deeper than such a value may nest.
 */
export function areEqual(left: unknown, right: unknown, work: ComparisonWork): boolean {
  work.spend(workOfValue);
  if (typeof left === "string" && typeof right === "string") {
    if (left.length !== right.length) return false;
    work.spend(left.length);
    return left === right;
  }
  if (typeof left !== "object" || left === null || typeof right !== "object" || right === null) {
    return left === right;
  }
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) return false;
    return left.every((item, index) => areEqual(item, right[index], work));
  }
  return areMembersEqual(left, right, work);
}

function areMembersEqual(left: object, right: object, work: ComparisonWork): boolean {
  const names = work.namesOf(left);
  return (
    names.length === work.namesOf(right).length &&
    names.every((name) => {
      // The name is one of the left's own, and is looked for among the right's own.
      const member = name as never;
      return Object.hasOwn(right, name) && areEqual(left[member], right[member], work);
    })
  );
}

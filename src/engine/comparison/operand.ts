import type { JsonValue } from "@bufbuild/protobuf";
import { isDay } from "../../domain/json/day.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { type Decimal, parseDecimal } from "../values/decimal.ts";
import { type Instant, parseInstant } from "../values/instant.ts";
import { parseLossless } from "../values/lossless-json.ts";

/** The budget of work for one evaluation of a Rule: the characters and values that its comparisons read. */
export class ComparisonWork {
  #left: number;
  readonly #fail: () => Error;
  readonly #names = new WeakMap<object, readonly string[]>();

  /** @param fail makes the error that is thrown when the budget is used up */
  constructor(max = comparisonWorkMax, fail: () => Error = tooMuchRead) {
    this.#left = max;
    this.#fail = fail;
  }

  spend(work: number): void {
    this.#left -= work;
    if (this.#left < 0) {
      throw this.#fail();
    }
  }

  /** The names of an object's members. V8 collects them anew each time, so those of large objects are cached. */
  namesOf(object: object): readonly string[] {
    const known = this.#names.get(object);
    if (known !== undefined) {
      return known;
    }
    const names = Object.keys(object);
    this.spend(names.length * charsOfName);
    if (names.length > fewNames) {
      this.#names.set(object, names);
    }
    return names;
  }
}

const charsOfName = 20;
const fewNames = 8;

/** In characters; a value counts as `workOfValue`. Two sides of the largest size of an output are within it. */
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

/** One side of a comparison. Its forms are computed once, however many values it is compared with. */
export class Operand {
  readonly value: JsonValue;
  readonly work: ComparisonWork;
  #container: { readonly made: object | undefined } | undefined;
  #decimal: { readonly made: Decimal | undefined } | undefined;

  constructor(value: JsonValue, work: ComparisonWork) {
    this.value = value;
    this.work = work;
    if (typeof value === "string") {
      work.spend(value.length);
    }
  }

  /** The text of a string, a number or a boolean. */
  get text(): string | undefined {
    const { value } = this;
    return value === null || typeof value === "object" ? undefined : String(value);
  }

  /**
   * The value of a number, or of a text that is a plain decimal. A text with an exponent stays a text: commit ids and
   * password hashes look like that.
   */
  get decimal(): Decimal | undefined {
    this.#decimal ??= { made: this.#readDecimal() };
    return this.#decimal.made;
  }

  /** The object or array, if the value is one or is the JSON text of one. */
  get container(): object | undefined {
    this.#container ??= { made: this.#readContainer() };
    return this.#container.made;
  }

  /** The instant of a text that is a date-time. */
  get instant(): Instant | undefined {
    return typeof this.value === "string" ? parseInstant(this.value) : undefined;
  }

  /** The text, if it is a day. */
  get day(): string | undefined {
    return typeof this.value === "string" && isDay(this.value) ? this.value : undefined;
  }

  #readDecimal(): Decimal | undefined {
    const { value } = this;
    if (typeof value === "number") {
      return parseDecimal(String(value));
    }
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
      // Long ids stay texts, as in the answer of an HTTP node: a double would round them.
      const parsed: unknown = parseLossless(value);
      return typeof parsed === "object" && parsed !== null ? parsed : undefined;
    } catch {
      return undefined;
    }
  }
}

/** Parsing a character takes as long as reading four. */
const charsOfParsing = 4;

/**
 * Deep equality, whatever the order of members. It stops at the first difference, and reads no more of the larger value than
 * of the smaller one: comparing one value with each item of a list takes no longer than reading the list. The recursion is as
 * deep as the smaller value, and one of both is a value of the run, whose depth is limited.
 */
export function areEqual(left: unknown, right: unknown, work: ComparisonWork): boolean {
  work.spend(workOfValue);
  if (typeof left === "string" && typeof right === "string") {
    if (left.length !== right.length) {
      return false;
    }
    work.spend(left.length);
    return left === right;
  }
  if (typeof left !== "object" || left === null || typeof right !== "object" || right === null) {
    return left === right;
  }
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) {
      return false;
    }
    return left.every((item, index) => areEqual(item, right[index], work));
  }
  return areMembersEqual(left, right, work);
}

function areMembersEqual(left: object, right: object, work: ComparisonWork): boolean {
  const names = work.namesOf(left);
  return (
    names.length === work.namesOf(right).length &&
    names.every((name) => {
      // The name is a member of `left`, and Object.hasOwn checks that `right` has it too.
      const member = name as never;
      return Object.hasOwn(right, name) && areEqual(left[member], right[member], work);
    })
  );
}

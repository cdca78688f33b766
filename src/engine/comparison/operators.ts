import type { JsonValue } from "@bufbuild/protobuf";
import { compareDecimals } from "../values/decimal.ts";
import { compareInstants } from "../values/instant.ts";
import { matchesLike, wordBits } from "./like-pattern.ts";
import { areEqual, type ComparisonWork, Operand } from "./operand.ts";
import { TextSearch } from "./text-search.ts";

/** An operator of comparisons. A path that does not resolve counts as null. */
export type Operator = {
  readonly hasRight: boolean;
  holds(left: Operand, right: Operand): boolean;
};

export type OperatorName =
  | "eq"
  | "neq"
  | "eq_text"
  | "neq_text"
  | "gt"
  | "lt"
  | "gte"
  | "lte"
  | "like"
  | "contains"
  | "not_contains"
  | "starts_with"
  | "ends_with"
  | "included_in"
  | "not_included_in"
  | "is_null"
  | "not_null"
  | "exist"
  | "not_exist";

/**
 * The operators of Comparison.operator in definition.proto.
 *
 * Two values are compared within one type domain (the product's notes of v4.1.0): null with null, booleans with
 * booleans, numbers by their value, and all others by their text. Authors can only write text into a field, so a text counts
 * as null or a boolean where it is spelled like one and the other side is one. For the same reason two texts that are plain
 * decimals, such as prices, count as numbers: `5.50` equals `5.5`. `007` and `1e3` stay texts, because they are codes.
 */
export const operators: Readonly<Record<OperatorName, Operator>> = {
  eq: comparing(isEqualOrHas),
  neq: comparing((left, right) => !isEqualOrHas(left, right)),
  eq_text: comparing(isSameText),
  neq_text: comparing((left, right) => !isSameText(left, right)),
  gt: ordering((order) => order > 0),
  lt: ordering((order) => order < 0),
  gte: ordering((order) => order >= 0),
  lte: ordering((order) => order <= 0),
  like: textual(isLike),
  contains: comparing(contains),
  not_contains: comparing((left, right) => !contains(left, right)),
  starts_with: textual((left, right) => left.startsWith(right)),
  ends_with: textual((left, right) => left.endsWith(right)),
  included_in: comparing(isIncludedIn),
  not_included_in: comparing((left, right) => !isIncludedIn(left, right)),
  is_null: presence(({ value }) => value === null),
  not_null: presence(({ value }) => value !== null),
  exist: presence(({ value }) => value !== null && value !== ""),
  not_exist: presence(({ value }) => value === null || value === ""),
};

/** Whether an operator only tests whether its left side is present. Its reference may well resolve to nothing. */
export function isPresenceTest(name: string): boolean {
  return Object.hasOwn(operators, name) && !operators[name as OperatorName].hasRight;
}

/** Whether a comparison holds. */
export function holds(
  name: OperatorName,
  [left, right]: readonly [JsonValue, JsonValue],
  work: ComparisonWork,
): boolean {
  return operators[name].holds(new Operand(left, work), new Operand(right, work));
}

function comparing(holds: Operator["holds"]): Operator {
  return { hasRight: true, holds };
}

function presence(holds: (left: Operand) => boolean): Operator {
  return { hasRight: false, holds };
}

/** The operators that compare the order of two values. */
export const orderingOperators: ReadonlySet<string> = new Set<OperatorName>(["gt", "lt", "gte", "lte"]);

/** Holds for two numbers, plain decimals included, two date-times or two days. */
function ordering(holds: (order: number) => boolean): Operator {
  return comparing((left, right) => {
    const order = orderOf(left, right) ?? orderOfTimes(left, right);
    return order !== undefined && holds(order);
  });
}

/** Whether a value has an order: numbers, date-times and days have one. */
export function hasOrder(side: Operand): boolean {
  return side.decimal !== undefined || side.instant !== undefined || side.day !== undefined;
}

/** Holds for texts, numbers and booleans; null and containers have no text. */
function textual(holds: (left: string, right: string, sides: Operands) => boolean): Operator {
  return comparing((left, right) => {
    const [leftText, rightText] = [left.text, right.text];
    return leftText !== undefined && rightText !== undefined && holds(leftText, rightText, { left, right });
  });
}

type Operands = { readonly left: Operand; readonly right: Operand };

/** The bit-parallel match takes one step for each character of the text, which is slower for patterns beyond one word. */
function isLike(text: string, pattern: string, { left }: Operands): boolean {
  left.work.spend(text.length * (pattern.length <= wordBits ? workOfWord : workOfBits));
  return matchesLike(text, pattern);
}

const workOfWord = 8;
const workOfBits = 60;

/** An array on the left equals a value that is not an array if one of its items does. */
function isEqualOrHas(left: Operand, right: Operand): boolean {
  if (!Array.isArray(left.value) || Array.isArray(right.container)) {
    return isEqual(left, right);
  }
  return left.value.some((item) => isEqual(new Operand(item, left.work), right));
}

/** Holds for texts that are equal in each character. Numbers and booleans have the text that JSON has for them. */
function isSameText(left: Operand, right: Operand): boolean {
  left.work.spend(workOfComparison);
  const text = left.text;
  return text !== undefined && text === right.text;
}

function isEqual(left: Operand, right: Operand): boolean {
  left.work.spend(workOfComparison);
  const [one, other] = [left.value, right.value];
  if (one === null || other === null) {
    return one === other || one === "null" || other === "null";
  }
  if (typeof one === "object" || typeof other === "object") {
    return areContainersEqual(left, right);
  }
  if (typeof one === "boolean" || typeof other === "boolean") {
    return left.text === right.text;
  }
  const order = orderOf(left, right);
  return order === undefined ? left.text === right.text : order === 0;
}

/** A comparison takes about as long as reading 50 characters. */
const workOfComparison = 50;

/** An object or array also equals a text that is its JSON. */
function areContainersEqual(left: Operand, right: Operand): boolean {
  // Most texts are not JSON, and then the containers are not compared.
  const [one, other] = [left.container, right.container];
  return one !== undefined && other !== undefined && areEqual(one, other, left.work);
}

function contains(left: Operand, right: Operand): boolean {
  if (Array.isArray(left.value)) {
    return left.value.some((item) => isEqual(new Operand(item, left.work), right));
  }
  const [text, wanted] = [left.text, right.text];
  return text !== undefined && wanted !== undefined && new TextSearch(wanted).indexOf(text) >= 0;
}

/** The right side is an array, a text that is a JSON array, or a text of items separated by commas. */
function isIncludedIn(left: Operand, right: Operand): boolean {
  const { container } = right;
  if (Array.isArray(container)) {
    return container.some((item) => isEqual(left, new Operand(item, left.work)));
  }
  return right.text?.split(",").some((item) => isEqual(left, new Operand(item.trim(), left.work))) ?? false;
}

function orderOf(left: Operand, right: Operand): number | undefined {
  const [one, other] = [left.decimal, right.decimal];
  return one && other && compareDecimals(one, other);
}

function orderOfTimes(left: Operand, right: Operand): number | undefined {
  if (typeof left.value !== "string" || typeof right.value !== "string") {
    return undefined;
  }
  const [one, other] = [left.instant, right.instant];
  if (one && other) {
    return compareInstants(one, other);
  }
  const [day, another] = [left.day, right.day];
  if (day === undefined || another === undefined) {
    return undefined;
  }
  return day < another ? -1 : Number(day > another);
}

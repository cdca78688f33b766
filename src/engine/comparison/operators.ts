import type { JsonValue } from "@bufbuild/protobuf";
import { compareDecimals } from "../values/decimal.ts";
import { compareMoments } from "../values/instant.ts";
import { matchesLike, wordBits } from "./like-pattern.ts";
import { areEqual, type ComparisonWork, Side } from "./operand.ts";
import { TextSearch } from "./text-search.ts";

/** What a comparison can ask. A path that did not resolve has become null before. */
export type Operator = {
  readonly hasRight: boolean;
  holds(left: Side, right: Side): boolean;
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
 * booleans, numbers by their value, and what is left by its text. A text counts as a null or boolean where it is written
 * as one and the other side is one, since what an author writes into a field is always text. For the same reason two
 * texts that are plain decimals, as prices are, count as numbers: `5.50` equals `5.5`. `007` and `1e3` are codes.
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
  is_null: asking(({ value }) => value === null),
  not_null: asking(({ value }) => value !== null),
  exist: asking(({ value }) => value !== null && value !== ""),
  not_exist: asking(({ value }) => value === null || value === ""),
};

/** Whether an operator only asks whether its left side is there: those are for what may be missing. */
export function isAsking(name: string): boolean {
  return Object.hasOwn(operators, name) && !operators[name as OperatorName].hasRight;
}

/** Whether a comparison holds. */
export function holds(
  name: OperatorName,
  [left, right]: readonly [JsonValue, JsonValue],
  work: ComparisonWork,
): boolean {
  return operators[name].holds(new Side(left, work), new Side(right, work));
}

function comparing(holds: Operator["holds"]): Operator {
  return { hasRight: true, holds };
}

function asking(holds: (left: Side) => boolean): Operator {
  return { hasRight: false, holds };
}

/** Operators that ask for the order of two values. */
export const orderingOperators: ReadonlySet<string> = new Set<OperatorName>(["gt", "lt", "gte", "lte"]);

/** Holds for two numbers, plain decimals included, two date-times or two days. */
function ordering(holds: (order: number) => boolean): Operator {
  return comparing((left, right) => {
    const order = orderOf(left, right) ?? orderInTime(left, right);
    return order !== undefined && holds(order);
  });
}

/** Whether a value stands in an order with others of its kind. */
export function hasOrder(side: Side): boolean {
  return side.decimal !== undefined || side.moment !== undefined || side.day !== undefined;
}

/** Holds for texts, numbers and booleans; null and containers have no text. */
function textual(holds: (left: string, right: string, sides: Sides) => boolean): Operator {
  return comparing((left, right) => {
    const [leftText, rightText] = [left.text, right.text];
    return leftText !== undefined && rightText !== undefined && holds(leftText, rightText, { left, right });
  });
}

type Sides = { readonly left: Side; readonly right: Side };

/** Each character of the text moves as many bits as the pattern has. */
function isLike(text: string, pattern: string, { left }: Sides): boolean {
  left.work.spend(text.length * (pattern.length <= wordBits ? workOfWord : workOfBits));
  return matchesLike(text, pattern);
}

const workOfWord = 8;
const workOfBits = 60;

/** An array beside anything but an array is asked for an item that is equal. */
function isEqualOrHas(left: Side, right: Side): boolean {
  if (!Array.isArray(left.value) || Array.isArray(right.container)) return isEqual(left, right);
  return left.value.some((item) => isEqual(new Side(item, left.work), right));
}

/** Holds for texts that are the same in each character; numbers and booleans have the text that JSON writes for them. */
function isSameText(left: Side, right: Side): boolean {
  left.work.spend(workOfComparison);
  const text = left.text;
  return text !== undefined && text === right.text;
}

function isEqual(left: Side, right: Side): boolean {
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

/** About as long as 50 characters are read. */
const workOfComparison = 50;

/** An object or array also equals the text that is its JSON. */
function areContainersEqual(left: Side, right: Side): boolean {
  // Asked of the value first: most texts are no JSON, and then the container need not be looked at.
  const [one, other] = [left.container, right.container];
  return one !== undefined && other !== undefined && areEqual(one, other, left.work);
}

function contains(left: Side, right: Side): boolean {
  if (Array.isArray(left.value)) {
    return left.value.some((item) => isEqual(new Side(item, left.work), right));
  }
  const [text, wanted] = [left.text, right.text];
  return text !== undefined && wanted !== undefined && new TextSearch(wanted).indexOf(text) >= 0;
}

/** The right side is an array, a text that is a JSON array, or a text with commas between its items. */
function isIncludedIn(left: Side, right: Side): boolean {
  const { container } = right;
  if (Array.isArray(container)) {
    return container.some((item) => isEqual(left, new Side(item, left.work)));
  }
  return right.text?.split(",").some((item) => isEqual(left, new Side(item.trim(), left.work))) ?? false;
}

function orderOf(left: Side, right: Side): number | undefined {
  const [one, other] = [left.decimal, right.decimal];
  return one && other && compareDecimals(one, other);
}

function orderInTime(left: Side, right: Side): number | undefined {
  if (typeof left.value !== "string" || typeof right.value !== "string") return undefined;
  const [one, other] = [left.moment, right.moment];
  if (one && other) return compareMoments(one, other);
  const [day, another] = [left.day, right.day];
  if (day === undefined || another === undefined) return undefined;
  return day < another ? -1 : Number(day > another);
}

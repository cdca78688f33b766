import type { JsonValue } from "@bufbuild/protobuf";
import { compareDecimals, type Decimal, parseDecimal } from "./decimal.ts";
import { matchesLike } from "./like.ts";

/** What a comparison can ask. A path that did not resolve has become null before. */
export type Operator = {
  readonly hasRight: boolean;
  holds(left: JsonValue, right: JsonValue): boolean;
};

export type OperatorName =
  | "eq"
  | "neq"
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
 * booleans, numbers by their value, and what is left by its text. A text counts as a null, boolean or number where it
 * is written as one and the other side is one, since what an author writes into a field is always text.
 */
export const operators: Readonly<Record<OperatorName, Operator>> = {
  eq: comparing(isEqual),
  neq: comparing((left, right) => !isEqual(left, right)),
  gt: numeric((order) => order > 0),
  lt: numeric((order) => order < 0),
  gte: numeric((order) => order >= 0),
  lte: numeric((order) => order <= 0),
  like: textual(matchesLike),
  contains: comparing(contains),
  not_contains: comparing((left, right) => !contains(left, right)),
  starts_with: textual((left, right) => left.startsWith(right)),
  ends_with: textual((left, right) => left.endsWith(right)),
  included_in: comparing(isIncludedIn),
  not_included_in: comparing((left, right) => !isIncludedIn(left, right)),
  is_null: asking((left) => left === null),
  not_null: asking((left) => left !== null),
  exist: asking((left) => left !== null && left !== ""),
  not_exist: asking((left) => left === null || left === ""),
};

function comparing(holds: Operator["holds"]): Operator {
  return { hasRight: true, holds };
}

function asking(holds: (left: JsonValue) => boolean): Operator {
  return { hasRight: false, holds };
}

/** Holds for numbers only, and for texts that are written as numbers. */
function numeric(holds: (order: number) => boolean): Operator {
  return comparing((left, right) => {
    const order = orderOf(left, right);
    return order !== undefined && holds(order);
  });
}

/** Holds for texts, numbers and booleans; null and containers have no text. */
function textual(holds: (left: string, right: string) => boolean): Operator {
  return comparing((left, right) => {
    const leftText = scalarText(left);
    const rightText = scalarText(right);
    return leftText !== undefined && rightText !== undefined && holds(leftText, rightText);
  });
}

function isEqual(left: JsonValue, right: JsonValue): boolean {
  if (left === null || right === null) {
    return left === right || left === "null" || right === "null";
  }
  if (typeof left === "object" || typeof right === "object") {
    return areContainersEqual(left, right);
  }
  if (typeof left === "boolean" || typeof right === "boolean") {
    return String(left) === String(right);
  }
  const order = orderOf(left, right);
  return order === undefined ? String(left) === String(right) : order === 0;
}

/** An object or array also equals the text that is its JSON. */
function areContainersEqual(left: JsonValue, right: JsonValue): boolean {
  const leftJson = sortedJson(left);
  return leftJson !== undefined && leftJson === sortedJson(right);
}

function contains(left: JsonValue, right: JsonValue): boolean {
  if (Array.isArray(left)) {
    return left.some((item) => isEqual(item, right));
  }
  const leftText = scalarText(left);
  const rightText = scalarText(right);
  return leftText !== undefined && rightText !== undefined && leftText.includes(rightText);
}

/** The right side is an array, a text that is a JSON array, or a text with commas between its items. */
function isIncludedIn(left: JsonValue, right: JsonValue): boolean {
  const container = containerOf(right);
  if (Array.isArray(container)) {
    return container.some((item) => isEqual(left, item));
  }
  const list = scalarText(right);
  return list?.split(",").some((item) => isEqual(left, item.trim())) ?? false;
}

function orderOf(left: JsonValue, right: JsonValue): number | undefined {
  const leftDecimal = decimalOf(left);
  const rightDecimal = decimalOf(right);
  return leftDecimal && rightDecimal && compareDecimals(leftDecimal, rightDecimal);
}

function decimalOf(value: JsonValue): Decimal | undefined {
  return typeof value === "number" || typeof value === "string" ? parseDecimal(String(value)) : undefined;
}

function scalarText(value: JsonValue): string | undefined {
  return value === null || typeof value === "object" ? undefined : String(value);
}

function containerOf(value: JsonValue): object | undefined {
  if (typeof value === "object") {
    return value ?? undefined;
  }
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) {
    return undefined;
  }
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === "object" && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The JSON of a container with sorted members: equal texts are equal values. Undefined for what is no container, and for
 * a text that nests deeper than any value may.
 */
function sortedJson(value: JsonValue): string | undefined {
  const container = containerOf(value);
  if (container === undefined) {
    return undefined;
  }
  try {
    return JSON.stringify(container, (_, member: unknown) =>
      typeof member === "object" && member !== null && !Array.isArray(member)
        ? Object.fromEntries(Object.entries(member).toSorted(([left], [right]) => (left < right ? -1 : 1)))
        : member,
    );
  } catch {
    return undefined;
  }
}

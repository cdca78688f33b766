import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { NodeText } from "./node-text.ts";
import { objectsOf, textOf } from "./source-value.ts";

const operators: ReadonlySet<string> = new Set([
  "eq",
  "neq",
  "gt",
  "lt",
  "gte",
  "lte",
  "like",
  "contains",
  "not_contains",
  "starts_with",
  "ends_with",
  "included_in",
  "not_included_in",
  "is_null",
  "not_null",
  "exist",
  "not_exist",
]);

/** Those that have no right side. */
const unary: ReadonlySet<string> = new Set(["is_null", "not_null", "exist", "not_exist"]);

const rowsMax = 200;
const never: JsonObject = { left: "1", operator: "eq", right: "0" };

/** A rule of comparisons. One without rows, or with an operator that is not known, does not hold there. */
export function importRule(rule: JsonObject, text: NodeText, field: string): JsonObject {
  const rows = objectsOf(rule["compare_value_of"]);
  if (rows.length === 0) {
    text.issues.warn("RULE_EMPTY", "The rule compares nothing; it never holds here.", text.place(field));
  }
  if (rows.length > rowsMax) {
    const message = `A rule has at most ${rowsMax} comparisons, and this one ${rows.length}; the others are left out.`;
    text.issues.warn("TEXT_SHORTENED", message, text.place(field));
  }
  const comparisons = rows
    .slice(0, rowsMax)
    .map((row, index) => comparison(row, text, `${field}.compare_value_of[${index}]`));
  return {
    match: textOf(rule["operator"]).toUpperCase() === "OR" ? "ANY" : "ALL",
    comparisons: comparisons.length === 0 ? [never] : comparisons,
  };
}

/** The conditions of a node; undefined where it has none. */
export function importConditions(rule: JsonValue | undefined, text: NodeText): JsonObject | undefined {
  const [given] = objectsOf([rule ?? null]);
  const hasRows = given !== undefined && objectsOf(given["compare_value_of"]).length > 0;
  return hasRows ? importRule(given, text, "node_rule") : undefined;
}

function comparison(row: JsonObject, text: NodeText, field: string): JsonObject {
  const operator = textOf(row["comparison_operator"]);
  if (!operators.has(operator)) {
    text.issues.warn(
      "OPERATOR_UNKNOWN",
      "The operator is not known; the row never holds.",
      text.place(field, operator),
    );
    return never;
  }
  const { compare_value: right } = row;
  const left = text.of(row["data_slot_id"], `${field}.data_slot_id`);
  if (unary.has(operator)) {
    return { left, operator };
  }
  if (right === null || right === undefined) {
    // Of a value that was never set, equal to null and null are one.
    const isNegated = operator === "neq";
    return operator === "eq" || isNegated
      ? { left, operator: isNegated ? "not_null" : "is_null" }
      : { left, operator, right: "" };
  }
  return { left, operator, right: text.of(right, `${field}.compare_value`) };
}

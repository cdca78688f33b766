import type { JsonValue } from "@bufbuild/protobuf";
import { type Comparison, type RuleNode, RuleNode_Match } from "../gen/flowcall/v1/definition_pb.ts";
import { hasOrder, type Operator, type OperatorName, operators, orderingOperators } from "./operators.ts";
import { ComparisonWork, Side } from "./side.ts";
import type { Field } from "./templates/field.ts";
import type { Scope, Template } from "./templates/reference.ts";
import { compileValue } from "./templates/text.ts";

/** Whether a Rule's comparisons hold. */
export type Condition = (scope: Scope) => boolean;

/** Compiles the comparisons of a Rule node, or of a node's conditions. */
export function compileRule(rule: RuleNode, field: Field): Condition {
  const comparisons = rule.comparisons.map((comparison, index) => {
    const use = operatorsThatAsk.has(comparison.operator) ? "asked" : "compared";
    const place = field.member(`comparisons[${index}]`, use);
    return {
      left: compileValue(comparison.left, place.member("left")),
      operator: compileOperator(comparison.operator, comparison.right !== undefined, place),
      right: compileRight(comparison, place.member("right")),
    };
  });
  if (comparisons.length === 0) {
    field.member("comparisons").error("COMPARISONS_MISSING", "There is nothing to compare. Add a comparison.");
  }
  const isAny = rule.match === RuleNode_Match.ANY;
  return (scope) => {
    const work = new ComparisonWork();
    const texts = field.texts();
    const holds = ({ left, operator, right }: (typeof comparisons)[number]) =>
      operator.holds(
        new Side(left.render(scope, texts.another()), work),
        new Side(right.render(scope, texts.another()), work),
      );
    return isAny ? comparisons.some(holds) : comparisons.every(holds);
  };
}

/** The operators for what may be missing. */
const operatorsThatAsk: ReadonlySet<string> = new Set(["exist", "not_exist", "is_null", "not_null"]);

function compileRight({ operator, right: text = "" }: Comparison, field: Field): Template<JsonValue> {
  const right = compileValue(text, field);
  if (text !== "" && right.references.length === 0 && orderingOperators.has(operator)) {
    const value = right.render({ read: () => undefined });
    if (!hasOrder(new Side(value, new ComparisonWork()))) {
      field.warn(
        "RIGHT_SIDE_UNORDERED",
        `The operator "${operator}" compares numbers as 5.5, date-times as 2026-01-31T09:00:00Z and days as 2026-01-31. ` +
          "This right side is none of them, so the comparison never holds.",
      );
    }
  }
  return right;
}

function compileOperator(name: string, hasRight: boolean, field: Field): Operator {
  // The name is checked by the condition before it.
  const operator = Object.hasOwn(operators, name) ? operators[name as OperatorName] : undefined;
  if (operator === undefined) {
    const known = Object.keys(operators).join(", ");
    field.member("operator").error("OPERATOR_UNKNOWN", `There is no operator "${name}". Use one of ${known}.`);
    return operators.eq;
  }
  if (operator.hasRight && !hasRight) {
    field.member("right").error("RIGHT_SIDE_MISSING", `The operator "${name}" compares with a right side. Write one.`);
  }
  return operator;
}

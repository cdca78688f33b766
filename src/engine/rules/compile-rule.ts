import { type Comparison, type RuleNode, RuleNode_Match } from "../../gen/flowcall/v1/definition_pb.ts";
import { ComparisonWork, Operand } from "../comparison/operand.ts";
import {
  hasOrder,
  holds,
  isPresenceTest,
  type OperatorName,
  operators,
  orderingOperators,
} from "../comparison/operators.ts";
import type { Field } from "../templates/field.ts";
import type { PeekScope } from "../templates/reference.ts";
import { type CompiledInput, compileInput } from "../templates/text-template.ts";
import { type CompiledComparison, type ConditionRun, decideInPool } from "./pooled-rule.ts";

/**
 * Evaluates comparisons: at once where that takes a few milliseconds at most, else in a child process. Fails with
 * NodeFailure; rejects with the signal's reason when that aborts first.
 */
export type Condition = (scope: PeekScope, run: ConditionRun) => boolean | Promise<boolean>;

/** The characters that comparisons may read on the thread, which takes a few milliseconds. */
const inlineWorkMax = 2 * 1024 * 1024;

/** Compiles the comparisons of a Rule node, or of a node's conditions. */
export function compileRule(rule: RuleNode, field: Field): Condition {
  const comparisons = rule.comparisons.map((comparison, index): CompiledComparison => {
    const use = isPresenceTest(comparison.operator) ? "presence" : "compared";
    const member = field.member(`comparisons[${index}]`, use);
    return {
      left: compileInput(comparison.left, member.member("left")),
      operator: compileOperator(comparison.operator, comparison.right !== undefined, member),
      right: compileRight(comparison, member.member("right")),
    };
  });
  if (comparisons.length === 0) {
    field.member("comparisons").error("COMPARISONS_MISSING", "There is nothing to compare. Add a comparison.");
  }
  const isAny = rule.match === RuleNode_Match.ANY;
  return (scope, run) => {
    const texts = field.texts();
    const work = new ComparisonWork(inlineWorkMax, () => inlineWorkSpent);
    try {
      const render = ({ template }: CompiledInput) => template.render(scope, texts.renew());
      const index = comparisons.findIndex(
        ({ left, operator, right }) => holds(operator, [render(left), render(right)], work) === isAny,
      );
      return index >= 0 === isAny;
    } catch (error) {
      if (error !== inlineWorkSpent) {
        throw error;
      }
    }
    return decideInPool({ comparisons, isAny, texts: () => texts.renew() }, scope, run);
  };
}

/** Thrown when the budget of work on the thread is used up. Comparisons are pure, so a child process starts them again. */
const inlineWorkSpent = new Error("the comparisons are too much work for the thread");

function compileRight({ operator, right: text }: Comparison, field: Field): CompiledInput {
  const right = compileInput(text ?? "", field);
  const { references, render } = right.template;
  if (text !== undefined && references.length === 0 && orderingOperators.has(operator)) {
    const value = render({ read: () => undefined });
    if (!hasOrder(new Operand(value, new ComparisonWork()))) {
      field.warn(
        "RIGHT_SIDE_UNORDERED",
        `The operator "${operator}" compares numbers as 5.5, date-times as 2026-01-31T09:00:00Z and days as 2026-01-31. ` +
          "This right side is none of them, so the comparison never holds.",
      );
    }
  }
  return right;
}

function compileOperator(name: string, hasRight: boolean, field: Field): OperatorName {
  // Object.hasOwn has just checked the name.
  const known = Object.hasOwn(operators, name) ? (name as OperatorName) : undefined;
  if (known === undefined) {
    const names = Object.keys(operators).join(", ");
    field.member("operator").error("OPERATOR_UNKNOWN", `There is no operator "${name}". Use one of ${names}.`);
    return "eq";
  }
  if (operators[known].hasRight && !hasRight) {
    field.member("right").error("RIGHT_SIDE_MISSING", `The operator "${name}" compares with a right side. Write one.`);
  }
  return known;
}

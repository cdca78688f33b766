import type { JsonValue } from "@bufbuild/protobuf";
import { ComparisonWork } from "../comparison/operand.ts";
import { holds, type OperatorName } from "../comparison/operators.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { type DataPlace, findData } from "../pool/data-texts.ts";
import type { RunTask } from "../pool/tasks.ts";

export type RuleRequest = {
  /** Whether one comparison that holds decides, or one that does not. */
  readonly isAny: boolean;
  readonly comparisons: readonly {
    readonly operator: OperatorName;
    readonly left: DataPlace;
    readonly right: DataPlace;
  }[];
};

/** `asked` is how many comparisons were looked at, the deciding one included. */
export type RuleReply =
  | { readonly kind: "asked"; readonly asked: number; readonly isDecided: boolean }
  | { readonly kind: "failure"; readonly asked: number; readonly reason: string; readonly message: string };

/** Decides Rules whose sides are large. */
export function createRuleTask(): RunTask<"rule"> {
  return ({ head: { isAny, comparisons }, texts }) => {
    const find = findData(texts);
    const work = new ComparisonWork();
    let asked = 0;
    try {
      for (const { operator, left, right } of comparisons) {
        asked += 1;
        const sides: [JsonValue, JsonValue] = [find(left) ?? null, find(right) ?? null];
        if (holds(operator, sides, work) === isAny)
          return { head: { kind: "asked", asked, isDecided: true }, texts: [] };
      }
      return { head: { kind: "asked", asked, isDecided: false }, texts: [] };
    } catch (error) {
      if (!(error instanceof NodeFailure)) throw error;
      return { head: { kind: "failure", asked, reason: error.reason, message: error.message }, texts: [] };
    }
  };
}

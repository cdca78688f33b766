import type { JsonValue } from "@bufbuild/protobuf";
import { ComparisonWork } from "../comparison/operand.ts";
import { holds } from "../comparison/operators.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { resolveData } from "../pool/data-texts.ts";
import type { RunTask } from "../pool/tasks.ts";

/** Decides Rules whose sides are too large to compare on the service's thread. */
export function createRuleTask(): RunTask<"rule"> {
  return ({ head: { isAny, comparisons }, texts }) => {
    const resolve = resolveData(texts);
    const work = new ComparisonWork();
    let evaluated = 0;
    try {
      for (const { operator, left, right } of comparisons) {
        evaluated += 1;
        const sides: [JsonValue, JsonValue] = [resolve(left) ?? null, resolve(right) ?? null];
        if (holds(operator, sides, work) === isAny) {
          return { head: { kind: "decision", evaluated, isDecided: true }, texts: [] };
        }
      }
      return { head: { kind: "decision", evaluated, isDecided: false }, texts: [] };
    } catch (error) {
      if (!(error instanceof NodeFailure)) {
        throw error;
      }
      return { head: { kind: "failure", evaluated, reason: error.reason, message: error.message }, texts: [] };
    }
  };
}

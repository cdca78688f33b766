import type { JsonValue } from "@bufbuild/protobuf";
import type { Limits } from "../../domain/limits.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { ComparisonWork, comparisonTooLarge } from "../comparison/operand.ts";
import type { OperatorName } from "../comparison/operators.ts";
import { type FailureReason, NodeFailure } from "../errors/node-failure.ts";
import type { Journal } from "../journal/journal.ts";
import { DataTexts } from "../pool/data-texts.ts";
import type { ProcessPool } from "../pool/process-pool.ts";
import type { RuleReply, RuleRequest } from "../pool/tasks.ts";
import type { PeekScope } from "../templates/reference.ts";
import type { TextBudget } from "../templates/text-budget.ts";
import type { CompiledInput } from "../templates/text-template.ts";

export type CompiledComparison = {
  readonly left: CompiledInput;
  readonly operator: OperatorName;
  readonly right: CompiledInput;
};

/** The part of a run that the evaluation of a condition needs. */
export type ConditionRun = {
  readonly state: {
    readonly run: {
      readonly organizationId: string;
      readonly environmentId: string;
      readonly pool: Pick<ProcessPool, "run">;
      readonly limits: Limits;
      readonly journal: Pick<Journal, "work">;
    };
  };
  readonly boundary: { readonly signal: AbortSignal };
};

type PooledRule = {
  readonly comparisons: readonly CompiledComparison[];
  readonly isAny: boolean;
  /** Makes the budget of text for the rendering of one side. */
  readonly texts: () => TextBudget;
};

/** Decides a Rule in a child process, and waits until one is free. */
export async function decideInPool(rule: PooledRule, scope: PeekScope, run: ConditionRun): Promise<boolean> {
  const { organizationId, environmentId, pool, limits, journal } = run.state.run;
  const { signal } = run.boundary;
  const sides = renderSides(rule, scope);
  const { head, texts } = sides;
  const end = await journal.work(
    () => pool.run("rule", { request: () => ({ head, texts }), path: [organizationId, environmentId], signal }),
    signal,
  );
  switch (end.kind) {
    case "reply":
      return decisionOf(rule, { reply: end.head, failure: sides.failure, scope });
    case "overdue":
      throw comparisonTooLarge(`The comparisons took longer than ${limits.queryMs} ms (limit queryMs).`);
    case "out_of_memory":
      throw comparisonTooLarge(
        `The comparisons needed more than ${limits.childHeapMib} MiB of memory (limit childHeapMib).`,
      );
    case "lost":
      throw comparisonTooLarge("The child process that compared the sides died twice.");
    default:
      return unreachable(end);
  }
}

type Decided = {
  readonly reply: RuleReply;
  /** The failure of the first side that could not be rendered. The comparisons from there on are not part of the request. */
  readonly failure: NodeFailure | undefined;
  readonly scope: PeekScope;
};

/** Reads the references of the comparisons up to the deciding one, so that they leave the same notes as on the thread. */
function decisionOf({ comparisons, isAny }: PooledRule, { reply, failure, scope }: Decided): boolean {
  for (const { left, right } of comparisons.slice(0, reply.evaluated)) {
    for (const reference of [...left.template.references, ...right.template.references]) {
      scope.read(reference);
    }
  }
  // The child took the reason from a NodeFailure.
  if (reply.kind === "failure") {
    throw new NodeFailure(reply.reason as FailureReason, reply.message, { isFinal: true });
  }
  if (!reply.isDecided && failure !== undefined) {
    throw failure;
  }
  return reply.isDecided === isAny;
}

type RenderedSides = {
  readonly head: RuleRequest;
  readonly texts: readonly string[];
  readonly failure: NodeFailure | undefined;
};

/** Renders the sides of the comparisons, up to the first that fails. */
function renderSides({ comparisons, isAny, texts: newTexts }: PooledRule, scope: PeekScope): RenderedSides {
  const texts = new DataTexts(scope);
  const work = new ComparisonWork();
  const silentScope = { read: scope.peek.bind(scope) };
  const add = ({ template, reference }: CompiledInput) => {
    const value = template.render(silentScope, newTexts());
    if (reference === undefined) {
      work.spend(lengthOf(value));
    }
    return texts.add({ value, reference });
  };
  const head: { isAny: boolean; comparisons: RuleRequest["comparisons"][number][] } = { isAny, comparisons: [] };
  try {
    for (const { left, operator, right } of comparisons) {
      head.comparisons.push({ operator, left: add(left), right: add(right) });
    }
  } catch (error) {
    if (!(error instanceof NodeFailure)) {
      throw error;
    }
    return { head, texts: texts.all, failure: error };
  }
  return { head, texts: texts.all, failure: undefined };
}

function lengthOf(value: JsonValue): number {
  return typeof value === "string" ? value.length : 0;
}

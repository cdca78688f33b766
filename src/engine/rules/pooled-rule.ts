import type { JsonValue } from "@bufbuild/protobuf";
import type { Limits } from "../../domain/limits.ts";
import { unreachable } from "../../domain/unreachable.ts";
import type { RuleReply, RuleRequest } from "../child/rule-task.ts";
import { ComparisonWork, comparisonTooLarge } from "../comparison/operand.ts";
import { type FailureReason, NodeFailure } from "../errors/node-failure.ts";
import type { Journal } from "../journal/journal.ts";
import { DataTexts } from "../pool/data-texts.ts";
import type { ProcessPool } from "../pool/process-pool.ts";
import type { PeekScope } from "../templates/reference.ts";
import type { Texts } from "../templates/text-budget.ts";
import type { CompiledInput } from "../templates/text-template.ts";
import type { CompiledComparison } from "./compile-rule.ts";

/** The run that a condition is asked in. */
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
  /** For the rendering of one side. */
  readonly texts: () => Texts;
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
      return settle(rule, { reply: end.head, failure: sides.failure, scope });
    case "overdue":
      throw comparisonTooLarge(`The comparisons took longer than ${limits.queryMs} ms (limit queryMs).`);
    case "out_of_memory":
      throw comparisonTooLarge(
        `The comparisons needed more than ${limits.childHeapMib} MiB of memory (limit childHeapMib).`,
      );
    case "lost":
      throw comparisonTooLarge("The process that compared was lost twice.");
    default:
      return unreachable(end);
  }
}

type Settled = {
  readonly reply: RuleReply;
  /** Why the comparisons behind those of the request could not be asked. */
  readonly failure: NodeFailure | undefined;
  readonly scope: PeekScope;
};

/** Gives the decision, and notes what the comparisons up to the deciding one read, as evaluation in line does. */
function settle({ comparisons, isAny }: PooledRule, { reply, failure, scope }: Settled): boolean {
  for (const { left, right } of comparisons.slice(0, reply.asked)) {
    for (const reference of [...left.template.references, ...right.template.references]) scope.read(reference);
  }
  // The child has the reason of a NodeFailure of its own.
  if (reply.kind === "failure") throw new NodeFailure(reply.reason as FailureReason, reply.message, { isFinal: true });
  if (!reply.isDecided && failure !== undefined) throw failure;
  return reply.isDecided === isAny;
}

type RenderedSides = {
  readonly head: RuleRequest;
  readonly texts: readonly string[];
  readonly failure: NodeFailure | undefined;
};

/** The sides of the comparisons, up to the first that cannot be rendered. */
function renderSides({ comparisons, isAny, texts: another }: PooledRule, scope: PeekScope): RenderedSides {
  const texts = new DataTexts(scope);
  const work = new ComparisonWork();
  const peeking = { read: scope.peek.bind(scope) };
  const place = ({ template, reference }: CompiledInput) => {
    const value = template.render(peeking, another());
    if (reference === undefined) work.spend(lengthOf(value));
    return texts.place({ value, reference });
  };
  const head: { isAny: boolean; comparisons: RuleRequest["comparisons"][number][] } = { isAny, comparisons: [] };
  try {
    for (const { left, operator, right } of comparisons) {
      head.comparisons.push({ operator, left: place(left), right: place(right) });
    }
  } catch (error) {
    if (!(error instanceof NodeFailure)) throw error;
    return { head, texts: texts.all, failure: error };
  }
  return { head, texts: texts.all, failure: undefined };
}

function lengthOf(value: JsonValue): number {
  return typeof value === "string" ? value.length : 0;
}

import type { NewExecution, Outcome } from "../../domain/execution.ts";
import { newIdAt, timeOfId } from "../../domain/id.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { NodeFailure } from "../../engine/errors/node-failure.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import type { ChildOptions, ChildPlace, ChildRequest, ChildRun, Children } from "../../engine/journal/children.ts";
import { childLimits } from "../../storage/executions/children.ts";
import type { Sealing } from "../encryption/sealing.ts";
import type { ExecutionChildren, ExecutionRecords } from "./execution-log.ts";
import type { ExecutionWriter } from "./execution-writer.ts";
import type { RunJournal } from "./run-journal.ts";
import type { SchedulerEvents } from "./scheduler-events.ts";
import { sealBegin } from "./sealed-records.ts";

/** The execution that a node asks for, and what it runs. Its id is not used. */
export type ResolvedChild = { readonly execution: NewExecution; readonly graph: Pick<Graph, "hidesNodes"> };

/** Finds what a node's request names, and checks it as a call. Throws NodeFailure. */
export type ResolveChild = (parent: NewExecution, request: ChildRequest, signal: AbortSignal) => Promise<ResolvedChild>;

export type ChildRunsOptions = {
  readonly execution: NewExecution;
  readonly writer: Pick<ExecutionWriter, "ask">;
  readonly journal: Pick<RunJournal, "beforeEffect" | "waitForSignal">;
  readonly children: Pick<ExecutionChildren, "find" | "begin">;
  readonly executions: Pick<ExecutionRecords, "stop" | "listEnded" | "readEnded">;
  readonly resolveChild: ResolveChild;
  readonly sealing: Sealing;
  readonly events: Pick<SchedulerEvents, "emit">;
  /** Aborts when the run ends for a reason outside of the workflow. */
  readonly signal: AbortSignal;
};

/** What is resolved may be deleted before it is begun, again and again. */
const triesMax = 3;

const unneeded: Outcome = {
  state: "STOPPED",
  error: { reason: "EXECUTION_STOPPED", message: "The node that waited for the execution waits no more." },
};

/**
 * The executions that nodes of one run begin. A child commits together with what binds it to the attempt of its node; its end
 * is a signal of that name, so that the run sleeps meanwhile, and the first is found by every replay.
 */
export class ChildRuns implements Children {
  readonly #options: ChildRunsOptions;

  constructor(options: ChildRunsOptions) {
    this.#options = options;
  }

  async run({ path, attempt }: ChildPlace, request: ChildRequest, options: ChildOptions): Promise<ChildRun> {
    const { journal } = this.#options;
    const { timeoutMs, signal } = options;
    await journal.beforeEffect(signal);
    const name = `${path}#${attempt}#child`;
    const executionId = await this.#begin(name, request, signal);
    if (request.mode === "DETACHED") {
      return { executionId };
    }
    if ((await this.#waitFor(executionId, name, options)) === undefined) {
      await this.#stop(executionId);
      const message = `The execution ${executionId} did not end within ${timeoutMs} ms.`;
      throw new NodeFailure("NODE_TIMED_OUT", message, { executionId });
    }
    return { executionId, outcome: await this.#outcomeOf(executionId) };
  }

  async #begin(name: string, request: ChildRequest, signal: AbortSignal): Promise<string> {
    const { execution: parent, writer, children, resolveChild, sealing, events } = this.#options;
    const known = await writer.ask((claim) => children.find({ ...claim, name }));
    if (known !== undefined) {
      return known;
    }
    for (let tries = 1; ; tries += 1) {
      const { execution: resolved, graph } = await writer.ask(() => resolveChild(parent, request, signal));
      const execution = { ...resolved, id: idBehind(parent.id, timeOfId(resolved.id)) };
      const { dataKey: _, ...begin } = sealBegin({ execution, flushes: [], hidesNodes: graph.hidesNodes, sealing });
      const child = { name, mode: request.mode, execution, begin };
      const begun = await writer.ask((claim) => children.begin({ ...claim, ...child }));
      if (typeof begun === "object") {
        events.emit("childBegun", execution);
        return begun.executionId;
      }
      switch (begun) {
        case "superseded":
          // The next write of the run finds that out too, and ends it.
          await this.#options.journal.beforeEffect(signal);
          break;
        case "changed":
          break;
        case "too_deep":
        case "too_many":
          throw tooDeep(begun);
        default:
          unreachable(begun);
      }
      if (tries >= triesMax) {
        throw new NodeFailure("SUB_FLOW_REFUSED", "What the Sub Flow names is being changed. Try again.");
      }
    }
  }

  async #waitFor(executionId: string, name: string, { timeoutMs, signal }: ChildOptions): Promise<string | undefined> {
    try {
      return await this.#options.journal.waitForSignal(name, timeoutMs, signal);
    } catch (error) {
      // The part of the workflow that waits was stopped, and the run goes on. At its end the execution is stopped anyway.
      if (!this.#options.signal.aborted) {
        await this.#stop(executionId);
      }
      throw error;
    }
  }

  async #stop(executionId: string): Promise<void> {
    const { writer, executions, events } = this.#options;
    const stop = { executionId, outcome: unneeded };
    const stopped = await writer.ask(({ environmentId }) => executions.stop({ environmentId, ...stop }));
    if (stopped !== undefined) {
      events.emit("familyEnded", { stopped: [executionId, ...stopped.stopped] });
    }
  }

  async #outcomeOf(executionId: string): Promise<Outcome> {
    const { writer, executions } = this.#options;
    const { outcomes, unread } = await writer.ask(() => executions.listEnded([executionId]));
    const left = [...unread];
    const outcome =
      outcomes.get(executionId) ?? (await writer.ask(() => executions.readEnded(() => left.pop()))).get(executionId);
    if (outcome === undefined) {
      const message = "The execution has ended, and what it answered has been deleted.";
      throw new NodeFailure("SUB_FLOW_ERRORED", message, { executionId, isFinal: true });
    }
    return outcome;
  }
}

/** An id that comes behind another one, about as old as `time`: claims are locked in the order of their ids, parents first. */
function idBehind(id: string, time: number): string {
  const since = Math.max(time, timeOfId(id));
  for (let tries = 0; tries < 8; tries += 1) {
    const made = newIdAt(since);
    if (made > id) {
      return made;
    }
  }
  return newIdAt(since + 1_000);
}

function tooDeep(why: "too_deep" | "too_many"): NodeFailure {
  const { depthMax, detachedMax, descendantsMax } = childLimits;
  const message =
    why === "too_many"
      ? `The execution that all this began with has ${descendantsMax} others below it, which is the most that it may have.`
      : `At most ${depthMax} executions may wait for one another, and ${detachedMax} begin one another without waiting.`;
  return new NodeFailure("SUB_FLOW_TOO_DEEP", message, { isFinal: true });
}

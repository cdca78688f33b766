import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ExecutionError, NodeRun } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { checkOutput } from "../values/check-output.ts";
import { IterationErrors } from "./iteration-errors.ts";
import { type GroupRun, recallIteration, runIteration } from "./run-iteration.ts";

/** The items of a Group, one for each iteration. */
export type Items = {
  /** Absent where each iteration decides whether another one follows. */
  readonly count?: number;
  /** The value of `node.<the Group>.body` inside of the iteration. */
  itemAt(index: number): JsonObject;
};

type FailedIteration = { readonly index: number; readonly error: ExecutionError };

/** The iterations of one visit of a Group: it starts them in order, and collects their outputs. */
export class Iterations {
  readonly #group: GroupRun;
  readonly #items: Items;
  /** Iterations with a lower index have started in an earlier run: they start in order, so all before a recorded one have. */
  readonly #startedBefore: number;
  readonly #outputs: JsonValue[] = [];
  /** Whether an iteration has decided that no other one follows. */
  #isOver = false;
  #failed = 0;
  readonly #errors = new IterationErrors();
  /** The failed iteration with the lowest index, which does not depend on their speed. */
  #firstFailure: FailedIteration | undefined;
  #bytes = 0;

  /** Fails with GROUP_TOO_LARGE where these would be more iterations than an execution may have. */
  constructor(group: GroupRun, items: Items) {
    this.#group = group;
    this.#items = items;
    let started = items.count ?? 0;
    reserve(group, started);
    while (started > 0 && recallIteration(group, started - 1) === undefined) {
      started -= 1;
    }
    this.#startedBefore = started;
  }

  /** Runs iterations one after the other. Several calls run side by side, and each takes the next one that is free. */
  async run(): Promise<void> {
    while (this.#mayStart) {
      if (this.#items.count === undefined) {
        reserve(this.#group, 1);
      }
      const index = this.#outputs.push(null) - 1;
      this.#group.visit.iterations += 1;
      const run = await runIteration(this.#group, index, this.#items.itemAt(index));
      if (run === undefined) {
        return;
      }
      this.#take(index, run);
      const yielding = this.#group.visit.subgraph.state.yieldIfOver();
      if (yielding !== undefined) {
        await yielding;
      }
    }
  }

  /** The outputs as a JSON array. Fails where the Group fails. */
  output(): JsonText {
    const { step, visit } = this.#group;
    const { output } = visit.subgraph.state.run.limits;
    visit.subgraph.boundary.countIterations(-this.#unstarted);
    if (this.#firstFailure !== undefined) {
      visit.errors = this.#errors.text;
      const summary = this.#summaryOf(this.#firstFailure);
      if (!step.allowsPartialSuccess || this.#failed === this.#outputs.length) {
        throw new NodeFailure("GROUP_ITERATIONS_FAILED", summary);
      }
      // It comes first, because the notes of the iterations may use up the number of notes that are kept.
      visit.scope.notes.unshift(summary);
    }
    if (this.#bytes > output.bytesMax) {
      throw new NodeFailure(
        "OUTPUT_TOO_LARGE",
        `The outputs together have more than ${output.bytesMax} bytes (limit output.bytesMax).`,
      );
    }
    return checkOutput(this.#outputs, output);
  }

  get #mayStart(): boolean {
    const { step, visit } = this.#group;
    const { boundary, state } = visit.subgraph;
    const next = this.#outputs.length;
    if (this.#isOver || next === this.#items.count || boundary.isStopped) {
      return false;
    }
    // Checked after each output: ten thousand outputs, each within its limit, would be far too much memory.
    const isTooLarge = this.#bytes > state.run.limits.output.bytesMax;
    const hasFailed = isTooLarge || (this.#failed > 0 && !step.allowsPartialSuccess);
    return !hasFailed || next < this.#startedBefore;
  }

  get #unstarted(): number {
    return Math.max((this.#items.count ?? 0) - this.#outputs.length, 0);
  }

  #take(index: number, { error, output, port, iterations = 0, notes = [] }: NodeRun): void {
    const { visit } = this.#group;
    this.#isOver ||= port === "next";
    visit.iterations += iterations;
    for (const note of notes) {
      visit.scope.note(note);
    }
    if (error !== undefined) {
      this.#failed += 1;
      this.#errors.add(index, error);
      if (index <= (this.#firstFailure?.index ?? index)) {
        this.#firstFailure = { index, error };
      }
      return;
    }
    this.#bytes += Buffer.byteLength(output ?? "");
    if (output !== undefined && this.#bytes <= visit.subgraph.state.run.limits.output.bytesMax) {
      // The text was made from a JSON value.
      this.#outputs[index] = JSON.parse(output) as JsonValue;
    }
  }

  #summaryOf({ index, error: { node_name, node_id, message } }: FailedIteration): string {
    const started = this.#outputs.length;
    return (
      `Some batches errored: of ${started + this.#unstarted} iterations ${this.#failed} failed, ${started - this.#failed} ` +
      `completed and ${this.#unstarted} did not start. The first was iteration ${index}, at the node ` +
      `"${node_name ?? node_id}": ${message}`
    );
  }
}

/** Reserves iterations before they start, so that Groups that run side by side cannot exceed the limit together. */
function reserve({ visit: { subgraph } }: GroupRun, count: number): void {
  const { groupIterationsMax } = subgraph.state.run.limits;
  const total = subgraph.state.boundary.iterations + count;
  if (total > groupIterationsMax) {
    throw new NodeFailure(
      "GROUP_TOO_LARGE",
      `The execution would have ${total} iterations, but it runs at most ${groupIterationsMax} (limit ` +
        "groupIterationsMax).",
    );
  }
  subgraph.boundary.countIterations(count);
}

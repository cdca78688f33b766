import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ExecutionError, NodeRun } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json-text.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { checkOutput } from "../values/check-output.ts";
import { type GroupRun, recallIteration, runIteration } from "./run-iteration.ts";

/** What there is an iteration for. */
export type Items = {
  /** How many; absent where each iteration decides whether another one follows. */
  readonly count?: number;
  /** What the Group's output is inside of that iteration. */
  bodyOf(index: number): JsonObject;
};

type FailedIteration = { readonly index: number; readonly error: ExecutionError };

/** The iterations of one visit of a Group: which one starts, and what they gave so far. */
export class Iterations {
  readonly #group: GroupRun;
  readonly #items: Items;
  /** Below it, iterations began in an earlier run: they begin in order, so all do that are before a recorded one. */
  readonly #begunBefore: number;
  readonly #outputs: JsonValue[] = [];
  /** Whether an iteration has decided that no other one follows. */
  #isOver = false;
  #failed = 0;
  /** The failed iteration of the lowest index, which does not depend on who was faster. */
  #firstFailure: FailedIteration | undefined;
  #bytes = 0;

  /** Fails with GROUP_TOO_LARGE where the execution would have too many iterations with these. */
  constructor(group: GroupRun, items: Items) {
    this.#group = group;
    this.#items = items;
    let begun = items.count ?? 0;
    reserve(group, begun);
    while (begun > 0 && recallIteration(group, begun - 1) === undefined) {
      begun -= 1;
    }
    this.#begunBefore = begun;
  }

  /** Runs one iteration after the other, of those that no other call runs. */
  async run(): Promise<void> {
    while (this.#mayStart) {
      if (this.#items.count === undefined) {
        reserve(this.#group, 1);
      }
      const index = this.#outputs.push(null) - 1;
      this.#group.visit.iterations += 1;
      const run = await runIteration(this.#group, index, this.#items.bodyOf(index));
      if (run === undefined) {
        return;
      }
      this.#take(index, run);
      const resting = this.#group.visit.level.state.rest();
      if (resting !== undefined) await resting;
    }
  }

  /** The outputs as an array. Fails where the Group does. */
  output(): JsonText {
    const { step, visit } = this.#group;
    const { output } = visit.level.state.run.limits;
    visit.level.boundary.countIterations(-this.#unstarted);
    if (this.#firstFailure !== undefined) {
      const told = this.#tell(this.#firstFailure);
      if (!step.allowsPartialSuccess || this.#failed === this.#outputs.length) {
        throw new NodeFailure("GROUP_ITERATIONS_FAILED", told);
      }
      // Before those of the iterations, which may be too many for it.
      visit.scope.notes.unshift(told);
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
    const { boundary, state } = visit.level;
    const next = this.#outputs.length;
    if (this.#isOver || next === this.#items.count || boundary.signal.aborted) {
      return false;
    }
    // Checked as it grows: ten thousand outputs within their limit are far too much to keep.
    const isTooLarge = this.#bytes > state.run.limits.output.bytesMax;
    const hasFailed = isTooLarge || (this.#failed > 0 && !step.allowsPartialSuccess);
    return !hasFailed || next < this.#begunBefore;
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
      if (index <= (this.#firstFailure?.index ?? index)) {
        this.#firstFailure = { index, error };
      }
      return;
    }
    this.#bytes += Buffer.byteLength(output ?? "");
    if (output !== undefined && this.#bytes <= visit.level.state.run.limits.output.bytesMax) {
      // The text was written from a JSON value.
      this.#outputs[index] = JSON.parse(output) as JsonValue;
    }
  }

  #tell({ index, error: { node_name, node_id, message } }: FailedIteration): string {
    const begun = this.#outputs.length;
    return (
      `Some batches errored: of ${begun + this.#unstarted} iterations ${this.#failed} failed, ${begun - this.#failed} ` +
      `completed and ${this.#unstarted} did not start. The first was iteration ${index}, at the node ` +
      `"${node_name ?? node_id}": ${message}`
    );
  }
}

/** Counts iterations before they begin, so that Groups side by side cannot begin more than there may be. */
function reserve({ visit: { level } }: GroupRun, count: number): void {
  const { groupIterationsMax } = level.state.run.limits;
  const total = level.state.boundary.iterations + count;
  if (total > groupIterationsMax) {
    throw new NodeFailure(
      "GROUP_TOO_LARGE",
      `The execution would have ${total} iterations, but it runs at most ${groupIterationsMax} (limit ` +
        "groupIterationsMax).",
    );
  }
  level.boundary.countIterations(count);
}

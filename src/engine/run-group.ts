import type { JsonValue } from "@bufbuild/protobuf";
import type { ExecutionError } from "../domain/execution.ts";
import type { JsonText } from "../domain/json-text.ts";
import { Boundary } from "./boundary.ts";
import { checkOutput } from "./check-output.ts";
import { NodeFailure } from "./failure.ts";
import type { GroupStep, Level } from "./graph.ts";
import { Outputs, RunScope } from "./run-scope.ts";
import type { LevelRun, Visit } from "./visit.ts";

/** Runs the nodes of a level. It is handed in, since a level's nodes may be Groups with levels of their own. */
export type RunLevel = (level: Level, run: LevelRun) => Promise<void>;

/**
 * Runs a Group's level once for each item, and gives the array of outputs in the items' order.
 *
 * After a failed iteration no other one starts; those under way come to their end, so that each has a definite record,
 * and then the Group fails.
 */
export async function runGroup(step: GroupStep, visit: Visit, runLevel: RunLevel): Promise<JsonText> {
  const { limits } = visit.level.state.run;
  const items = step.array.render(visit.scope);
  if (!Array.isArray(items)) {
    const found = items === null ? "null" : typeof items;
    throw new NodeFailure(
      "GROUP_ARRAY_INVALID",
      `The Group needs an array to go through, but its template gave ${found}.`,
    );
  }
  if (items.length > limits.groupIterationsMax) {
    throw new NodeFailure(
      "GROUP_TOO_LARGE",
      `The array has ${items.length} items, but a Group runs at most ${limits.groupIterationsMax} iterations (limit ` +
        "groupIterationsMax).",
    );
  }
  const iterations = new Iterations(step, visit, items, runLevel);
  await Promise.all(Array.from({ length: Math.min(step.concurrency, items.length) }, () => iterations.run()));
  visit.level.boundary.signal.throwIfAborted();
  return checkOutput(iterations.outputs(), limits.output);
}

class Iterations {
  readonly #step: GroupStep;
  readonly #visit: Visit;
  readonly #items: readonly JsonValue[];
  readonly #runLevel: RunLevel;
  readonly #outputs: JsonValue[];
  readonly #failures: { readonly index: number; readonly error: ExecutionError }[] = [];
  #started = 0;
  #bytes = 0;
  #restedAt = performance.now();
  #resting: Promise<void> | undefined;

  constructor(step: GroupStep, visit: Visit, items: readonly JsonValue[], runLevel: RunLevel) {
    this.#step = step;
    this.#visit = visit;
    this.#items = items;
    this.#runLevel = runLevel;
    this.#outputs = items.map(() => null);
  }

  /** Runs one iteration after the other, of those that no other call runs. */
  async run(): Promise<void> {
    while (this.#started < this.#items.length && this.#failures.length === 0 && !this.#isStopped) {
      const index = this.#started;
      this.#started += 1;
      await this.#runOne(index);
      await this.#rest();
    }
  }

  outputs(): JsonValue[] {
    const [first, ...others] = this.#failures.toSorted((left, right) => left.index - right.index);
    if (first === undefined) {
      return this.#outputs;
    }
    const failed = others.length + 1;
    const { node_name, node_id, message } = first.error;
    throw new NodeFailure(
      "GROUP_ITERATIONS_FAILED",
      `Some batches errored: of ${this.#items.length} iterations ${failed} failed, ${this.#started - failed} completed and ` +
        `${this.#items.length - this.#started} did not start. The first was iteration ${first.index}, at the node ` +
        `"${node_name ?? node_id}": ${message}`,
    );
  }

  async #runOne(index: number): Promise<void> {
    const { node, path, level } = this.#visit;
    const boundary = new Boundary(level.boundary);
    const outputs = new Outputs(level.outputs);
    outputs.setValue(node.id, { array_item: this.#items[index] ?? null, iteration_count: index });
    await this.#runLevel(this.#step.level, { ...level, boundary, outputs, prefix: `${path}[${index}]/` });
    if (this.#isStopped) {
      return;
    }
    if (boundary.failure !== undefined) {
      this.#failures.push({ index, error: boundary.failure });
      return;
    }
    try {
      this.#collect(index, outputs);
    } catch (error) {
      if (!(error instanceof NodeFailure)) {
        throw error;
      }
      this.#failures.push({ index, error: this.#visit.describe(error) });
    }
  }

  #collect(index: number, outputs: Outputs): void {
    if (this.#step.output === undefined) {
      return;
    }
    const { run } = this.#visit.level.state;
    const { bytesMax } = run.limits.output;
    const scope = new RunScope(run, outputs);
    const value = this.#step.output.render(scope);
    this.#bytes += Buffer.byteLength(checkOutput(value, run.limits.output));
    // Checked as it grows: ten thousand outputs within their limit are far too much to keep.
    if (this.#bytes > bytesMax) {
      throw new NodeFailure(
        "OUTPUT_TOO_LARGE",
        `The outputs together have more than ${bytesMax} bytes (limit output.bytesMax).`,
      );
    }
    this.#outputs[index] = value;
    for (const note of scope.notes) {
      this.#visit.scope.note(note);
    }
  }

  get #isStopped(): boolean {
    return this.#visit.level.boundary.signal.aborted;
  }

  /**
   * Lets other work of the process in. Iterations that wait for nothing would keep it out until the last one; they rest
   * together, since one behind the other they would keep it out as well.
   */
  async #rest(): Promise<void> {
    if (this.#resting === undefined && performance.now() - this.#restedAt > restEveryMs) {
      this.#resting = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
        this.#resting = undefined;
        this.#restedAt = performance.now();
      });
    }
    await this.#resting;
  }
}

const restEveryMs = 10;

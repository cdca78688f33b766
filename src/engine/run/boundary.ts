import type { ExecutionError } from "../../domain/execution.ts";

export type BoundaryOptions = {
  /** Whether the branches beside a failed node run to their end. */
  readonly finishesBranches: boolean;
};

/** The part of a run that a failure ends: the whole run, or one iteration of a Group. Ending it ends all boundaries inside. */
export class Boundary {
  /** Aborts when the boundary ends, and when the run must stop for a reason outside of the workflow. */
  readonly signal: AbortSignal;
  /** The failure that it ends with, at once or when its branches have finished. */
  failure: ExecutionError | undefined;
  /** The number of iterations inside of it that have started or are about to. */
  iterations = 0;
  readonly #outer: Boundary | undefined;
  readonly #options: BoundaryOptions;
  readonly #controller = new AbortController();
  #isOver = false;
  /** The journal position of the record that decided how it ends. */
  #decidedAt = Number.POSITIVE_INFINITY;

  /** @param stop a signal from outside, or the boundary around this one */
  constructor(stop: AbortSignal | Boundary, options: BoundaryOptions) {
    this.#options = options;
    const { signal } = this.#controller;
    if (stop instanceof Boundary) {
      this.#outer = stop;
      this.signal = AbortSignal.any([stop.signal, signal]);
      return;
    }
    // The outside signal lives no longer than the run, so a listener suffices. AbortSignal.any costs much more.
    const follow = () => this.#controller.abort(stop.reason);
    stop.addEventListener("abort", follow, { once: true });
    if (stop.aborted) {
      follow();
    }
    this.signal = signal;
  }

  /** Makes a boundary inside of this one. */
  inside(): Boundary {
    return new Boundary(this, this.#options);
  }

  /** Whether the workflow itself ended it. Nodes that were running then are STOPPED, and a replay does not resume them. */
  get isOver(): boolean {
    return this.#isOver || (this.#outer?.isOver ?? false);
  }

  /** Counts iterations in this boundary and in all around it. */
  countIterations(count: number): void {
    this.iterations += count;
    this.#outer?.countIterations(count);
  }

  /** Notes that a node failed. @param position that of its record in the journal */
  fail(failure: ExecutionError, position: number): void {
    this.#decide(failure, position);
    if (!this.#options.finishesBranches) {
      this.end();
    }
  }

  /** Notes that a Terminate ends it, with a failure or without one. */
  terminate(failure: ExecutionError | undefined, position: number): void {
    this.#decide(failure, position);
    this.end();
  }

  end(): void {
    this.#isOver = true;
    this.#controller.abort();
  }

  /** Stops what is running without a decision of the workflow, so that a replay can resume it. */
  interrupt(): void {
    this.#controller.abort();
  }

  /** The first record decides. A replay follows the graph, and may meet that record last. */
  #decide(failure: ExecutionError | undefined, position: number): void {
    if (position < this.#decidedAt) {
      this.#decidedAt = position;
      this.failure = failure;
    }
  }
}

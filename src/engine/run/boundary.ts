import type { ExecutionError } from "../../domain/execution.ts";

export type BoundaryOptions = {
  /** Whether what runs beside a failed node comes to its end. */
  readonly finishesBranches: boolean;
};

/** What a failure ends: the run, or one iteration of a Group. Ending one ends all that runs inside of it. */
export class Boundary {
  /** Aborts when the boundary has ended, or when the run must stop for a reason from outside. */
  readonly signal: AbortSignal;
  /** Why it fails, at once or when its branches have come to their end. */
  failure: ExecutionError | undefined;
  /** How many iterations began inside of it, or are about to. */
  iterations = 0;
  readonly #outer: Boundary | undefined;
  readonly #options: BoundaryOptions;
  readonly #controller = new AbortController();
  #isOver = false;
  /** The place in the journal of what decided how it ends. */
  #decidedAt = Number.POSITIVE_INFINITY;

  /** @param stop a signal from outside, or the boundary that this one is inside of */
  constructor(stop: AbortSignal | Boundary, options: BoundaryOptions) {
    this.#options = options;
    const { signal } = this.#controller;
    if (stop instanceof Boundary) {
      this.#outer = stop;
      this.signal = AbortSignal.any([stop.signal, signal]);
      return;
    }
    // A signal that lives no longer than the run can be followed for much less.
    const follow = () => this.#controller.abort(stop.reason);
    stop.addEventListener("abort", follow, { once: true });
    if (stop.aborted) {
      follow();
    }
    this.signal = signal;
  }

  /** A boundary inside of this one. */
  inside(): Boundary {
    return new Boundary(this, this.#options);
  }

  /** Whether the workflow itself ended it. What was under way then is STOPPED, and not to be gone on with. */
  get isOver(): boolean {
    return this.#isOver || (this.#outer?.isOver ?? false);
  }

  /** Counts iterations here and in all that this boundary is inside of. */
  countIterations(count: number): void {
    this.iterations += count;
    this.#outer?.countIterations(count);
  }

  /** A node failed. */
  fail(failure: ExecutionError, place: number): void {
    this.#decide(failure, place);
    if (!this.#options.finishesBranches) {
      this.end();
    }
  }

  /** A Terminate ends it, with a failure or without one. */
  terminate(failure: ExecutionError | undefined, place: number): void {
    this.#decide(failure, place);
    this.end();
  }

  end(): void {
    this.#isOver = true;
    this.#controller.abort();
  }

  /** Stops what is under way without a decision of the workflow: a replay can go on with it. */
  interrupt(): void {
    this.#controller.abort();
  }

  /** What was recorded first counts. A replay goes by the graph, and may meet it last. */
  #decide(failure: ExecutionError | undefined, place: number): void {
    if (place < this.#decidedAt) {
      this.#decidedAt = place;
      this.failure = failure;
    }
  }
}

import { HttpFailure } from "./http-failure.ts";

/**
 * Ends a call early, once, with the failure that the call then has. It does what an AbortSignal does, for one listener
 * at a time: every call has one, and an AbortSignal of its own would be a good part of what a call costs.
 */
export class Deadline {
  readonly #timer: NodeJS.Timeout;
  readonly #signal: AbortSignal;
  readonly #abort = () => this.abort();
  #failure: HttpFailure | undefined;
  #onEnd: ((failure: HttpFailure) => void) | undefined;

  constructor(timeoutMs: number, signal: AbortSignal) {
    this.#signal = signal;
    this.#timer = setTimeout(() => {
      const message = `No complete answer came in ${timeoutMs} ms. Give the node more time, or ask for less.`;
      this.#end(new HttpFailure("TIMED_OUT", message));
    }, timeoutMs);
    signal.addEventListener("abort", this.#abort, { once: true });
    if (signal.aborted) this.abort();
  }

  /** Why the call has ended early, if it has. */
  get failure(): HttpFailure | undefined {
    return this.#failure;
  }

  /** Calls the listener when the deadline comes, or at once where it has come; the one before is called no more. */
  listen(onEnd: (failure: HttpFailure) => void): void {
    this.#onEnd = onEnd;
    if (this.#failure !== undefined) onEnd(this.#failure);
  }

  abort(): void {
    this.#end(new HttpFailure("ABORTED", "The call was given up before it was answered."));
  }

  /** Lets go of the timer and of the signal, which may live much longer than the call. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#abort);
  }

  #end(failure: HttpFailure): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#onEnd?.(failure);
  }
}

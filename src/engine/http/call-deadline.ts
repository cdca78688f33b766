import { HttpFailure } from "./http-failure.ts";

/**
 * Ends a call early, once: when its time is up or its signal aborts. It does the work of an AbortSignal for one listener at a
 * time, because an AbortSignal for each call would be a good part of the call's CPU time.
 */
export class CallDeadline {
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
    if (signal.aborted) {
      this.abort();
    }
  }

  /** The failure of the call, if it has ended early. */
  get failure(): HttpFailure | undefined {
    return this.#failure;
  }

  /** Sets the listener. It is called when the call ends early, or at once if it has. It replaces the one before. */
  listen(onEnd: (failure: HttpFailure) => void): void {
    this.#onEnd = onEnd;
    if (this.#failure !== undefined) {
      onEnd(this.#failure);
    }
  }

  abort(): void {
    this.#end(new HttpFailure("ABORTED", "The call was aborted before its answer was complete."));
  }

  /** Removes the timer and the listener on the signal, which may live much longer than the call. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#abort);
  }

  #end(failure: HttpFailure): void {
    if (this.#failure !== undefined) {
      return;
    }
    this.#failure = failure;
    this.#onEnd?.(failure);
  }
}

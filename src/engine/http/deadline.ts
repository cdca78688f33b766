import { HttpFailure } from "./http-failure.ts";

/** The one signal that ends a call early. Its reason is the HttpFailure that the call then ends with. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #sources: readonly AbortSignal[];
  readonly #abort = () =>
    this.#controller.abort(new HttpFailure("ABORTED", "The call was given up before it was answered."));

  constructor(timeoutMs: number, sources: readonly AbortSignal[]) {
    this.#sources = sources;
    this.#timer = setTimeout(() => {
      const message = `No complete answer came in ${timeoutMs} ms. Give the node more time, or ask for less.`;
      this.#controller.abort(new HttpFailure("TIMED_OUT", message));
    }, timeoutMs);
    for (const source of sources) source.addEventListener("abort", this.#abort, { once: true });
    if (sources.some((source) => source.aborted)) this.#abort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Lets go of the timer and of the sources, which may live much longer than the call. */
  clear(): void {
    clearTimeout(this.#timer);
    for (const source of this.#sources) source.removeEventListener("abort", this.#abort);
  }
}

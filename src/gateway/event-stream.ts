import type { Writable } from "node:stream";
import type { Clock } from "../domain/clock.ts";
import type { Call } from "../domain/http/call.ts";
import type { HttpExchange } from "../domain/http/protocol-handler.ts";
import type { Limits } from "../domain/limits.ts";
import { noLongerNeeded } from "../domain/no-longer-needed.ts";
import { RequestError } from "../domain/request-error.ts";
import { setHead } from "./http-reply.ts";

export type EventStreamOptions = {
  readonly exchange: HttpExchange;
  readonly call: Call;
  readonly limits: Limits;
  readonly clock: Clock;
};

/** A reply of the type text/event-stream, which begins with its first write and goes no faster than it is read. */
export class EventStream {
  readonly #options: EventStreamOptions;
  #isOpen = false;
  #isCut = false;

  constructor(options: EventStreamOptions) {
    this.#options = options;
  }

  /** Whether the head is sent, so that the reply cannot become another. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether nobody takes anything more: the reader has gone, was cut, or asked for the head alone. */
  get isOver(): boolean {
    const { exchange, call } = this.#options;
    const { aborted, reason } = call.signal;
    const isGone = aborted && !(reason instanceof RequestError);
    return this.#isCut || isGone || (this.#isOpen && exchange.request.method === "HEAD");
  }

  /** Whether the next message keeps the reader waiting for so long that it must be told that there is a stream. */
  async isSilent(next: Promise<unknown>): Promise<boolean> {
    const { eventOpenMs, eventCommentMs } = this.#options.limits;
    return !(await this.#settles(next, this.#isOpen ? eventCommentMs : eventOpenMs));
  }

  /** Settles when the reader can take more. One that takes nothing for too long is cut, which aborts the call. */
  async write(text: string): Promise<void> {
    const { exchange, call, limits } = this.#options;
    const response: Writable = exchange.response;
    if (!this.isOver) this.#open();
    if (this.isOver || response.write(text) || call.signal.aborted) return;
    const { promise: taken, resolve } = Promise.withResolvers<void>();
    const settle = () => resolve();
    response.once("drain", settle);
    call.signal.addEventListener("abort", settle);
    this.#isCut = !(await this.#settles(taken, limits.streamStallMs));
    call.signal.removeEventListener("abort", settle);
    if (this.#isCut) exchange.cut();
  }

  end(): void {
    if (this.#isOpen) this.#options.exchange.response.end();
  }

  #open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    // Reverse proxies that would gather a reply before they pass it on know this header. It is never compressed, since
    // a compressor gathers too.
    const headers = { "x-accel-buffering": "no" };
    const { exchange, call } = this.#options;
    setHead(exchange.response, { status: 200, type: "text/event-stream", headers }, call);
  }

  /** Whether a promise is settled within a time. Rejects as it does. */
  async #settles(promise: Promise<unknown>, ms: number): Promise<boolean> {
    const over = new AbortController();
    try {
      return await Promise.race([
        promise.then(() => true),
        this.#options.clock.wait(ms, over.signal).then(() => false),
      ]);
    } finally {
      over.abort(noLongerNeeded);
    }
  }
}

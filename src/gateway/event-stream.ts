import type { Writable } from "node:stream";
import type { Clock } from "../domain/clock.ts";
import { settlesWithin } from "../domain/deadline.ts";
import type { Call } from "../domain/http/call.ts";
import type { HttpExchange } from "../domain/http/protocol-handler.ts";
import type { Limits } from "../domain/limits.ts";
import { RequestError } from "../domain/request-error.ts";
import { setHead } from "./http-reply.ts";

export type EventStreamOptions = {
  readonly exchange: HttpExchange;
  readonly call: Call;
  readonly limits: Limits;
  readonly clock: Clock;
};

/** A reply of Server-Sent Events. Its headers go out with the first write; backpressure: it is written as fast as it is read. */
export class EventStream {
  readonly #options: EventStreamOptions;
  #isOpen = false;
  #isCut = false;

  constructor(options: EventStreamOptions) {
    this.#options = options;
  }

  /** Whether the headers are sent, after which no other reply is possible. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether nobody reads on: the reader has gone, was cut, or sent a HEAD request. */
  get isOver(): boolean {
    const { exchange, call } = this.#options;
    const { aborted, reason } = call.signal;
    const isGone = aborted && !(reason instanceof RequestError);
    return this.#isCut || isGone || (this.#isOpen && exchange.request.method === "HEAD");
  }

  /** Whether the next message takes so long that a heartbeat is due: proxies close a connection that is silent. */
  async isSilent(next: Promise<unknown>): Promise<boolean> {
    const { eventOpenMs, eventCommentMs } = this.#options.limits;
    return !(await settlesWithin(this.#isOpen ? eventCommentMs : eventOpenMs, next, this.#options.clock));
  }

  /** Settles when the reader can take more. A reader that takes nothing for too long is cut, which aborts the call. */
  async write(text: string): Promise<void> {
    const { exchange, call, limits } = this.#options;
    const response: Writable = exchange.response;
    if (!this.isOver) {
      this.#open();
    }
    if (this.isOver || response.write(text) || call.signal.aborted) {
      return;
    }
    const { promise: taken, resolve } = Promise.withResolvers<void>();
    const settle = () => resolve();
    response.once("drain", settle);
    call.signal.addEventListener("abort", settle);
    this.#isCut = !(await settlesWithin(limits.streamStallMs, taken, this.#options.clock));
    call.signal.removeEventListener("abort", settle);
    if (this.#isCut) {
      exchange.cut();
    }
  }

  end(): void {
    if (this.#isOpen) {
      this.#options.exchange.response.end();
    }
  }

  #open(): void {
    if (this.#isOpen) {
      return;
    }
    this.#isOpen = true;
    // The header keeps nginx from buffering the reply. For the same reason it is never compressed: a compressor buffers too.
    const headers = { "x-accel-buffering": "no" };
    const { exchange, call } = this.#options;
    setHead(exchange.response, { status: 200, type: "text/event-stream", headers }, call);
  }
}

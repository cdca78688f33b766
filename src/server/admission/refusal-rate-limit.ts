import { constants } from "node:http2";
import type { Clock } from "../../domain/clock.ts";
import { AddressPacer } from "../../domain/http/address-pacer.ts";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import { AddressRateLimit } from "../limits/address-rate-limit.ts";
import type { Slot } from "../limits/address-slots.ts";
import { UsageCounter } from "../limits/usage-counter.ts";

/** Node sends the error code of a session only together with an error. */
const tooManyRefusals = new Error("too many refusals were sent to this address");

export type RefusalLimits = {
  readonly refusalsPerAddressMax: number;
  readonly connectionTurnMs: number;
};

/**
 * Rate limit of the error responses that an address gets for requests without a key. Each stream that is opened and
 * refused costs as much as a small call, like HTTP/2 Rapid Reset (CVE-2023-44487). Above the limit, streams and
 * connections end with ENHANCE_YOUR_CALM, and new connections of the address start one at a time, with a pause in between.
 *
 * Requests that are being served end normally: a proxy may send the calls of others on the same connection.
 */
export class RefusalRateLimit {
  readonly #rate: AddressRateLimit;
  readonly #pacer: AddressPacer;
  readonly #serving = new UsageCounter<object>();

  constructor({ refusalsPerAddressMax, connectionTurnMs }: RefusalLimits, clock: Clock) {
    this.#rate = new AddressRateLimit(refusalsPerAddressMax, clock);
    this.#pacer = new AddressPacer(connectionTurnMs);
  }

  /** Returns whether an error response may be sent. If not, it ends the stream or the connection. */
  take(exchange: HttpExchange): boolean {
    const isAllowed = this.#rate.take(exchange.address);
    if (!isAllowed) {
      this.#end(exchange);
    }
    return isAllowed;
  }

  /** Settles when an address above its limit may start a connection; undefined: at once. */
  penaltyOf(address: string): Promise<void> | undefined {
    return this.#rate.isExceeded(address) ? this.#pacer.take(address) : undefined;
  }

  /** Counts a request as being served until it is released. */
  enter(exchange: HttpExchange): Pick<Slot, "release"> {
    const connection = connectionOf(exchange);
    this.#serving.add(connection, 1);
    return { release: () => this.#serving.add(connection, -1) };
  }

  #end(exchange: HttpExchange): void {
    const { request } = exchange;
    if (!("stream" in request)) {
      request.socket.destroy();
      return;
    }
    const { stream } = request;
    const { session } = stream;
    if (session !== undefined && this.#serving.of(session) === 0) {
      // This also drops the requests behind this one, which would otherwise be parsed and refused one by one.
      session.destroy(tooManyRefusals, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    } else {
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      // GOAWAY with NO_ERROR: many clients abandon their open streams at one that names an error.
      session?.close();
    }
  }
}

function connectionOf({ request }: HttpExchange): object {
  return ("stream" in request ? request.stream.session : request.socket) ?? request;
}

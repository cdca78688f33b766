import { constants } from "node:http2";
import type { Clock } from "../../domain/clock.ts";
import { AddressPacer } from "../../domain/http/address-pacer.ts";
import type { Penalties } from "../connections/start-connection.ts";
import { AddressRateLimit } from "../limits/address-rate-limit.ts";
import type { Exchange } from "../requests/http-exchange.ts";

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
export class RefusalRateLimit implements Penalties {
  readonly #rate: AddressRateLimit;
  readonly #pacer: AddressPacer;
  /** Whether an error response was sent lately. */
  isActive = false;

  constructor({ refusalsPerAddressMax, connectionTurnMs }: RefusalLimits, clock: Clock) {
    this.#rate = new AddressRateLimit(refusalsPerAddressMax, clock);
    this.#pacer = new AddressPacer(connectionTurnMs);
  }

  /** Returns whether an error response may be sent. If not, it ends the stream or the connection. */
  take(exchange: Exchange): boolean {
    this.isActive = true;
    const isAllowed = this.#rate.take(exchange.address);
    if (!isAllowed) {
      this.#end(exchange);
    }
    return isAllowed;
  }

  /** Settles when an address above its limit may start a connection; undefined: at once. */
  penaltyOf(address: string): Promise<void> | undefined {
    if (this.#rate.isExceeded(address)) {
      return this.#pacer.take(address);
    }
    this.isActive = this.#rate.isInUse;
    return undefined;
  }

  #end({ request, connection }: Exchange): void {
    if (!("stream" in request)) {
      request.socket.destroy();
      return;
    }
    const { stream } = request;
    const { session } = stream;
    if (session !== undefined && connection.serving === 0) {
      // This also drops the requests behind this one, which would otherwise be parsed and refused one by one.
      session.destroy(tooManyRefusals, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    } else {
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      // GOAWAY with NO_ERROR: many clients abandon their open streams at one that names an error.
      session?.close();
    }
  }
}

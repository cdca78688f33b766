import { constants } from "node:http2";
import type { Clock } from "../../domain/clock.ts";
import { AddressPacer } from "../../domain/http/address-pacer.ts";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import { AddressRate } from "../limits/address-rate-limit.ts";
import type { Place } from "../limits/address-slots.ts";
import { Held } from "../limits/usage-counter.ts";

/** Without an error, Node leaves the code of a session's end out. */
const tooManyRefusals = new Error("an address went on after refusals");

export type RefusalShareLimits = {
  readonly refusalsPerAddressMax: number;
  readonly connectionTurnMs: number;
};

/**
 * How many refusals an address is told in a second for requests that show no key. Who goes on is told no more: its
 * streams and connections end with ENHANCE_YOUR_CALM, and its further connections begin one at a time, the addresses in turn. Each
 * stream that is opened and refused costs as much as a small call (Rapid Reset, CVE-2023-44487, costs the same way).
 *
 * What has been let through is served to its end, as the calls of others that a proxy sends on the same connection.
 */
export class RefusalShare {
  readonly #rate: AddressRate;
  readonly #turns: AddressPacer;
  readonly #serving = new Held<object>();

  constructor({ refusalsPerAddressMax, connectionTurnMs }: RefusalShareLimits, clock: Clock) {
    this.#rate = new AddressRate(refusalsPerAddressMax, clock);
    this.#turns = new AddressPacer(connectionTurnMs);
  }

  /** Whether a refusal is told; ends the connection where it is not. */
  take(exchange: HttpExchange): boolean {
    const isTold = this.#rate.take(exchange.address);
    if (!isTold) this.#end(exchange);
    return isTold;
  }

  /** When a connection of an address may begin; undefined: now. */
  turnOf(address: string): Promise<void> | undefined {
    return this.#rate.isUsedUp(address) ? this.#turns.take(address) : undefined;
  }

  /** Counts a request that was let through, until it leaves. */
  enter(exchange: HttpExchange): Pick<Place, "leave"> {
    const connection = connectionOf(exchange);
    this.#serving.add(connection, 1);
    return { leave: () => this.#serving.add(connection, -1) };
  }

  #end(exchange: HttpExchange): void {
    const { request } = exchange;
    if (!("stream" in request)) {
      request.socket.destroy();
      return;
    }
    const { stream } = request;
    const { session } = stream;
    if (session !== undefined && this.#serving.by(session) === 0) {
      // It also drops what has come behind the request, which would be told apart and refused stream by stream.
      session.destroy(tooManyRefusals, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    } else {
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      // With NO_ERROR: many clients drop what is under way at a GOAWAY that names an error.
      session?.close();
    }
  }
}

function connectionOf({ request }: HttpExchange): object {
  return ("stream" in request ? request.stream.session : request.socket) ?? request;
}

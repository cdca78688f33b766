import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import { Turns } from "../../engine/run/yield-to-event-loop.ts";
import { AddressPlaces, type NoPlace, type Place } from "../limits/address-slots.ts";
import type { ServerLimits } from "../limits/server-limits.ts";

/** How long their requests may keep the thread in one turn of its event loop. */
const sliceMs = 2;

/**
 * What callers without a key hold at a time: their requests, until the replies are taken, and streams among them; and the
 * thread, which their addresses have by turns.
 */
export class KeylessPlaces {
  /** Made once: whoever goes on without an end is refused as often, and each error that is made costs its trace. */
  readonly #refusals: Readonly<Record<NoPlace, RequestError>>;
  readonly #requests: AddressPlaces;
  readonly #streams: AddressPlaces;
  readonly #turns = new Turns({ sliceMs });

  constructor(limits: ServerLimits) {
    this.#refusals = {
      max: tooManyStreams("open_streams", limits.openStreamsMax),
      perAddressMax: tooManyStreams("open_streams_per_address", limits.openStreamsPerAddressMax),
    };
    this.#requests = new AddressPlaces({
      max: limits.keylessRequestsMax,
      perAddressMax: limits.keylessRequestsPerAddressMax,
    });
    this.#streams = new AddressPlaces({ max: limits.openStreamsMax, perAddressMax: limits.openStreamsPerAddressMax });
  }

  /**
   * Lets a request have a place until it leaves it; one whose place another address needs more is cut. Undefined where
   * there is none: a reply in words would be one more that nobody may take.
   */
  takeRequest(exchange: HttpExchange): Place | undefined {
    const place = this.#requests.take(exchange.address);
    if (typeof place === "string") return undefined;
    place.isMoved.addEventListener("abort", () => exchange.cut(), { once: true });
    return place;
  }

  /** Settles when a request may be served. */
  async waitForTurn({ address }: HttpExchange): Promise<void> {
    const turn = this.#turns.take([address]);
    if (turn !== undefined) await turn;
  }

  /**
   * Lets a stream have a place until it leaves it; one whose place another address needs more is aborted. Throws
   * RequestError where there is none.
   */
  takeStream({ address }: HttpExchange, stream: AbortController): Place {
    const place = this.#streams.take(address);
    if (typeof place === "string") throw this.#refusals[place];
    const move = () => stream.abort(this.#refusals.max);
    place.isMoved.addEventListener("abort", move, { once: true });
    return place;
  }
}

function tooManyStreams(limit: string, max: number): RequestError {
  return new RequestError("TOO_MANY_REQUESTS", `${max} streams without a key are open already (limit ${limit}).`, {
    metadata: { limit, value: String(max) },
    retryAfterSeconds: 10,
  });
}

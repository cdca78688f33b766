import type { Exchange } from "../domain/door.ts";
import { RequestError } from "../domain/request-error.ts";
import { AddressPlaces, type Place } from "./address-places.ts";
import type { ServerLimits } from "./limits.ts";

/** The streams that need no key, each with a place that it holds until its end. */
export class OpenStreams {
  readonly #limits: ServerLimits;
  readonly #places: AddressPlaces;

  constructor(limits: ServerLimits) {
    this.#limits = limits;
    this.#places = new AddressPlaces({ max: limits.openStreamsMax, perAddressMax: limits.openStreamsPerAddressMax });
  }

  /**
   * Lets a stream have a place until it leaves it; where another address needs the place more, the stream is aborted.
   * Throws RequestError where there is none.
   */
  take({ address }: Exchange, stream: AbortController): Place {
    const { openStreamsMax, openStreamsPerAddressMax } = this.#limits;
    const place = this.#places.take(address);
    if (place === "max") throw tooManyStreams("open_streams", openStreamsMax);
    if (place === "perAddressMax") throw tooManyStreams("open_streams_per_address", openStreamsPerAddressMax);
    const move = () => stream.abort(tooManyStreams("open_streams", openStreamsMax));
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

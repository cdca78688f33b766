import { EventLoopYielder } from "../../domain/event-loop-yielder.ts";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import { AddressSlots, type ExhaustedLimit, type Slot } from "../limits/address-slots.ts";
import type { ServerLimits } from "../limits/server-limits.ts";

/** The share of one iteration of the event loop that requests without a key may use. */
const sliceMs = 2;

/**
 * Admission control for requests without an API key: limits on their number and on the streams among them, in all and for
 * each client address, and fair scheduling of their work over the addresses.
 */
export class KeylessAdmission {
  /** Created once: an attacker can provoke any number of them, and a new error would cost its stack trace each time. */
  readonly #streamErrors: Readonly<Record<ExhaustedLimit, RequestError>>;
  readonly #requests: AddressSlots;
  readonly #streams: AddressSlots;
  readonly #turns = new EventLoopYielder({ sliceMs });

  constructor(limits: ServerLimits) {
    this.#streamErrors = {
      max: tooManyStreams("open_streams", limits.openStreamsMax),
      perAddressMax: tooManyStreams("open_streams_per_address", limits.openStreamsPerAddressMax),
    };
    this.#requests = new AddressSlots({
      max: limits.keylessRequestsMax,
      perAddressMax: limits.keylessRequestsPerAddressMax,
    });
    this.#streams = new AddressSlots({ max: limits.openStreamsMax, perAddressMax: limits.openStreamsPerAddressMax });
  }

  /**
   * Takes a slot for a request; the request is cut if the slot is revoked. Undefined if none is free: an error response
   * would be one more that the client may leave unread.
   */
  takeRequest(exchange: HttpExchange): Slot | undefined {
    const slot = this.#requests.take(exchange.address);
    if (typeof slot === "string") {
      return undefined;
    }
    slot.revoked.addEventListener("abort", () => exchange.cut(), { once: true });
    return slot;
  }

  /** Settles when a request may be served. */
  async waitForTurn({ address }: HttpExchange): Promise<void> {
    const turn = this.#turns.yieldIfOver([address]);
    if (turn !== undefined) {
      await turn;
    }
  }

  /** Takes a slot for a stream; the stream is aborted if the slot is revoked. Throws RequestError if none is free. */
  takeStream({ address }: HttpExchange, stream: AbortController): Slot {
    const slot = this.#streams.take(address);
    if (typeof slot === "string") {
      throw this.#streamErrors[slot];
    }
    const revoke = () => stream.abort(this.#streamErrors.max);
    slot.revoked.addEventListener("abort", revoke, { once: true });
    return slot;
  }
}

function tooManyStreams(limit: string, max: number): RequestError {
  return new RequestError("TOO_MANY_REQUESTS", `${max} streams without a key are open already (limit ${limit}).`, {
    metadata: { limit, value: String(max) },
    retryAfterSeconds: 10,
  });
}

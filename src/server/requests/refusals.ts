import type { Logger } from "pino";
import type { Call } from "../../domain/http/call.ts";
import type { Route } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Admission } from "../admission/admission.ts";
import type { KeylessAdmission } from "../admission/keyless-admission.ts";
import type { RefusalRateLimit } from "../admission/refusal-rate-limit.ts";
import type { Tarpit } from "../admission/tarpit.ts";
import type { Exchange } from "./http-exchange.ts";

export type RefusalOptions = {
  readonly keyless: KeylessAdmission;
  readonly admission: Admission;
  readonly tarpit: Tarpit;
  readonly refusalLimit: RefusalRateLimit;
  readonly log: Logger;
};

/** A request whose route is known. */
export type RoutedRequest = { readonly exchange: Exchange; readonly route: Route; readonly call: Call };

/** Requests without a key, and requests that are refused: what anybody may send without an end. */
export class Refusals {
  readonly #options: RefusalOptions;

  constructor(options: RefusalOptions) {
    this.#options = options;
  }

  /** Admits a request without a key. False: it has been cut, or the client has disconnected. */
  async admitKeyless({ exchange, route, call }: RoutedRequest): Promise<boolean> {
    const { keyless } = this.#options;
    if (!this.#takeSlot(exchange)) {
      return false;
    }
    if (route.isStream === true) {
      this.takeStream(exchange);
    }
    await keyless.waitForTurn(exchange);
    // The connection may have been cut in the meantime, for too many requests.
    return !hasDisconnected(call.signal);
  }

  /** Counts a stream towards the limits of its address. Throws RequestError if it has too many. */
  takeStream(exchange: Exchange): void {
    exchange.slots.push(this.#options.keyless.takeStream(exchange, exchange.abort));
  }

  /** Writes the error response of a request, within the limits on error responses. */
  async refuse({ exchange, route, call }: RoutedRequest, error: unknown): Promise<void> {
    const { keyless, admission, tarpit, refusalLimit } = this.#options;
    const { principal } = call;
    // The error response to an unauthenticated caller takes a slot too.
    if (principal === undefined && exchange.slots.length === 0 && !this.#takeSlot(exchange)) {
      return;
    }
    const isKeyless = route.access === "public" || exchange.error !== undefined;
    if (isKeyless && !refusalLimit.take(exchange)) {
      return;
    }
    if (isKeyless) {
      await keyless.waitForTurn(exchange);
    } else if (principal !== undefined) {
      const turn = admission.take(principal);
      await (turn && admission.queue(turn, exchange.address));
    }
    await tarpit.wait(error, { address: exchange.address, signal: call.signal });
    if (!hasDisconnected(call.signal)) {
      await route.refuse(exchange, call, this.#toRequestError(error, call));
    }
  }

  /** Takes a slot for a request without a key; cuts the request if none is free. */
  #takeSlot(exchange: Exchange): boolean {
    const { keyless, refusalLimit } = this.#options;
    const slot = keyless.takeRequest(exchange);
    if (slot !== undefined) {
      exchange.slots.push(slot);
    } else if (refusalLimit.take(exchange)) {
      exchange.cut();
    }
    return slot !== undefined;
  }

  #toRequestError(error: unknown, { requestId }: Call): RequestError {
    if (error instanceof RequestError) {
      return error;
    }
    this.#options.log.error({ err: error, requestId }, "a request failed");
    return RequestError.of("SERVER_ERROR");
  }
}

/** Created once: an attacker can make many calls and leave them, and a new error would cost its stack trace each time. */
export const clientDisconnected = new Error("the caller went away");

/** Whether a call was aborted because its client has disconnected, and not with an error that the client is to receive. */
export function hasDisconnected(signal: AbortSignal): boolean {
  return signal.reason === clientDisconnected;
}

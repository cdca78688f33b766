import { constants } from "node:http2";
import type { Logger } from "pino";
import type { Call } from "../domain/http/call.ts";
import type { HttpExchange, ProtocolHandler, Route } from "../domain/http/protocol-handler.ts";
import type { RateLimiter } from "../domain/limits/rate-limit.ts";
import type { Principal } from "../domain/principal.ts";
import { RequestError } from "../domain/request-error.ts";
import type { AccessControl, CredentialWatch } from "./authentication/access-control.ts";
import { closeLingering } from "./connections/lingering-close.ts";
import { shuttingDown } from "./http1/close-idle-connection.ts";
import { requireUnambiguous } from "./http1/malformed-request.ts";
import type { ServerLimits } from "./limits/server-limits.ts";
import type { Cors } from "./requests/cors.ts";
import { type EndedRequest, endedRequest, logRequest } from "./requests/ended-request.ts";
import type { Exchange, RequestReceiver } from "./requests/http-exchange.ts";
import { createPreflightRoute, createRefusingRoute } from "./requests/public-pages.ts";
import { clientDisconnected, hasDisconnected, type Refusals } from "./requests/refusals.ts";
import { originOf } from "./requests/request-origin.ts";

export type RequestPipelineOptions = {
  /** Asked in this order; the first one that matches a request serves it. */
  readonly protocolHandlers: readonly ProtocolHandler[];
  /** Undefined: no page of another origin may call. */
  readonly cors: Cors | undefined;
  readonly accessControl: AccessControl;
  /** Rate limits by key and by organisation; absent: none. */
  readonly rates: Pick<RateLimiter, "take"> | undefined;
  readonly refusals: Refusals;
  readonly limits: ServerLimits;
  /** Called when a request has ended, for metrics. */
  readonly onEnd?: ((end: EndedRequest) => void) | undefined;
  readonly log: Logger;
};

/** The caller is known when the request has been authenticated. */
type RequestCall = Call & { principal?: Principal };

/**
 * The way of one request: it finds the route, authenticates and admits the caller by the headers alone, lets the route
 * read the body and reply, and waits until the client has read the reply.
 */
export class RequestPipeline implements RequestReceiver {
  readonly #options: RequestPipelineOptions;
  readonly #open = new Set<Exchange>();
  #isStopping = false;
  /** Resolved when no request is open any more. */
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(options: RequestPipelineOptions) {
    this.#options = options;
  }

  /** From now on authenticated calls are refused, and streams are aborted. */
  stop(): void {
    this.#isStopping = true;
    for (const { route, abort } of this.#open) {
      if (route?.isStream === true) {
        abort.abort(shuttingDown());
      }
    }
  }

  /** Aborts all requests. Settles when none is left. */
  async abortAll(reason: Error): Promise<void> {
    for (const { abort } of this.#open) {
      abort.abort(reason);
    }
    if (this.#open.size > 0) {
      this.#idle ??= Promise.withResolvers();
      await this.#idle.promise;
    }
  }

  /** The number of open requests. */
  get size(): number {
    return this.#open.size;
  }

  receive(exchange: Exchange): void {
    this.#open.add(exchange);
    exchange.response.once("close", () => this.#onClose(exchange));
    void this.#answer(exchange);
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { limits, log } = this.#options;
    try {
      // Node emits a request when its head is parsed. A short body follows in the same chunk.
      await undefined;
      if (!exchange.request.complete) {
        closeLingering(exchange, limits);
      }
      await this.#serve(exchange);
    } catch (cause) {
      log.error({ err: cause }, "a request could not be answered");
      exchange.cut();
      this.#release(exchange);
      return;
    }
    exchange.isServed = true;
    if (exchange.isClosed) {
      this.#end(exchange);
    } else {
      exchange.deliveryTimer = setTimeout(() => this.#cutSlow(exchange), deliveryMs(exchange.response, limits));
    }
  }

  /** Lets the route serve the request, or refuse it. Settles when the reply has been written. */
  async #serve(exchange: Exchange): Promise<void> {
    const { accessControl, rates, refusals } = this.#options;
    const { head, requestId, ticket, response, abort } = exchange;
    const { signal } = abort;
    const route = this.#findRoute(exchange);
    const call: RequestCall = {
      requestId,
      protocol: route.protocol,
      origin: () => originOf(exchange.request),
      headers: head.headers,
      signal,
      onWait: ticket.wait,
      reserveReply: ticket.reserveReply,
      turn: ticket.turn,
      replyHeaders: exchange.replyHeaders,
    };
    exchange.route = route;
    exchange.call = call;
    if (route.isStream === true && this.#isStopping) {
      abort.abort(shuttingDown());
    }
    response.setHeader("x-request-id", requestId);
    let watch: CredentialWatch | undefined;
    try {
      if (exchange.error !== undefined) {
        throw exchange.error;
      }
      if (route.access === "public") {
        if (!(await refusals.admitKeyless({ exchange, route, call }))) {
          return;
        }
      } else {
        if (this.#isStopping) {
          throw shuttingDown();
        }
        const found = accessControl.authorize(route.access, exchange, route.token);
        const principal = found instanceof Promise ? await found : found;
        call.principal = principal;
        // Rapid Reset: a stream that its client has reset meanwhile costs no more than the look-up of its key.
        if (hasDisconnected(signal)) {
          return;
        }
        rates?.take(principal);
        const turn = ticket.admit(principal);
        if (turn !== undefined) {
          await turn;
          if (hasDisconnected(signal)) {
            return;
          }
        }
        if (route.isStream === true || route.token !== undefined) {
          watch = this.#openStream(exchange, route);
        }
      }
      if (head.headers.get("expect")?.[0]?.toLowerCase() === "100-continue") {
        response.writeContinue();
      }
      ticket.serve();
      await route.serve(exchange, call);
    } catch (error) {
      if (response.headersSent) {
        throw error;
      }
      await refusals.refuse({ exchange, route, call }, error);
    } finally {
      ticket.moveTo("replied");
      if (watch !== undefined) {
        await watch.stop();
      }
    }
  }

  #findRoute(exchange: Exchange): Route {
    const { cors, protocolHandlers } = this.#options;
    const { head, request } = exchange;
    const { path, headers } = head;
    const isPlain = request.httpVersion === "1.1" && headers.get("host")?.length === 1;
    try {
      if (!("stream" in request) && (!isPlain || headers.has("transfer-encoding"))) {
        requireUnambiguous(head, exchange);
      }
      if (cors?.allow(head, exchange) === true) {
        return createPreflightRoute();
      }
      for (const handler of protocolHandlers) {
        const { only } = handler;
        const mayMatch =
          only === undefined ||
          only.paths.has(path) ||
          only.type?.test(headers.get("content-type")?.[0] ?? "") === true;
        const route = mayMatch ? handler.match(head) : undefined;
        if (route !== undefined) {
          return route;
        }
      }
    } catch (error) {
      return createRefusingRoute(error);
    }
    return createRefusingRoute(RequestError.of("ROUTE_NOT_FOUND"));
  }

  #openStream(exchange: Exchange, route: Route): CredentialWatch {
    const { accessControl, refusals } = this.#options;
    exchange.ticket.wait();
    // A leaked watch token may be used by anybody, so that its streams count for the client address too.
    if (route.token !== undefined) {
      refusals.takeStream(exchange);
    }
    return accessControl.watch(exchange, route.token);
  }

  #cutSlow(exchange: Exchange): void {
    exchange.abort.abort(new Error("the caller did not take its reply"));
    exchange.cut();
    this.#end(exchange);
  }

  /** No more of the reply will be sent. */
  #onClose(exchange: Exchange): void {
    const { response, abort, connection } = exchange;
    exchange.isClosed = true;
    // Node ends a stream that its client resets, so that it counts as finished.
    const isSent =
      "stream" in response
        ? response.writableEnded && response.stream.rstCode === constants.NGHTTP2_NO_ERROR
        : response.writableFinished;
    if (!isSent) {
      abort.abort(clientDisconnected);
    }
    if (!("stream" in response)) {
      connection.pending.delete(response);
      if (connection.pending.size === 0) {
        connection.onIdle?.();
      }
    }
    if (exchange.isServed) {
      this.#end(exchange);
    }
  }

  /** Ends a request whose reply has been delivered or cut. */
  #end(exchange: Exchange): void {
    if (!this.#open.has(exchange)) {
      return;
    }
    this.#release(exchange);
    const { onEnd, log } = this.#options;
    onEnd?.(endedRequest(exchange));
    logRequest(exchange, log);
  }

  #release(exchange: Exchange): void {
    clearTimeout(exchange.deliveryTimer);
    exchange.ticket.moveTo("closed");
    for (const slot of exchange.slots) {
      slot.release();
    }
    this.#open.delete(exchange);
    if (this.#open.size === 0) {
      this.#idle?.resolve();
    }
  }
}

/** How long a client may take to read a reply: a fixed time, and more for a long reply. */
function deliveryMs(response: HttpExchange["response"], { replyMs, replyBytesPerMsMin }: ServerLimits): number {
  return replyMs + Number(response.getHeader("content-length") ?? 0) / replyBytesPerMsMin;
}

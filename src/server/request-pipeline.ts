import type { Logger } from "pino";
import { settlesWithin } from "../domain/deadline.ts";
import type { Call } from "../domain/http/call.ts";
import type { HttpExchange, ProtocolHandler, RequestHead, Route } from "../domain/http/protocol-handler.ts";
import type { Principal } from "../domain/principal.ts";
import { RequestError } from "../domain/request-error.ts";
import type { RateLimiter } from "../rpc/chain/rate-limit.ts";
import { authenticatedCall } from "./admission/authenticated-call.ts";
import type { CallSlot, CallsInFlight } from "./admission/calls-in-flight.ts";
import type { KeylessAdmission } from "./admission/keyless-admission.ts";
import type { RefusalRateLimit } from "./admission/refusal-rate-limit.ts";
import type { Tarpit } from "./admission/tarpit.ts";
import type { TenantScheduler } from "./admission/tenant-scheduler.ts";
import type { AccessControl, CredentialWatch } from "./authentication/access-control.ts";
import type { RequestBytes } from "./bodies/bytes-in-flight.ts";
import { closeLingering } from "./connections/lingering-close.ts";
import { shuttingDown } from "./http1/close-idle-connection.ts";
import { requireUnambiguous } from "./http1/malformed-request.ts";
import type { Slot } from "./limits/address-slots.ts";
import type { ServerLimits } from "./limits/server-limits.ts";
import type { Cors } from "./requests/cors.ts";
import { readRequestId } from "./requests/http-exchange.ts";
import { createPreflightRoute, createRefusingRoute } from "./requests/public-pages.ts";
import { deliveryMs, hasDisconnected, whenClosed } from "./requests/reply-delivery.ts";
import { originOf } from "./requests/request-origin.ts";

export type RequestPipelineOptions = {
  /** Asked in this order; the first one that matches a request serves it. */
  readonly protocolHandlers: readonly ProtocolHandler[];
  readonly cors: Cors;
  readonly accessControl: AccessControl;
  readonly keyless: KeylessAdmission;
  readonly calls: CallsInFlight;
  readonly scheduler: TenantScheduler;
  readonly tarpit: Tarpit;
  readonly refusalLimit: RefusalRateLimit;
  /** Rate limits by key and by organisation; absent: none. */
  readonly rates: Pick<RateLimiter, "take"> | undefined;
  readonly limits: ServerLimits;
  readonly log: Logger;
};

/** A request as the listener hands it over. */
export type IncomingRequest = {
  readonly exchange: HttpExchange;
  readonly head: RequestHead;
  readonly abort: AbortController;
  readonly bytes: RequestBytes;
  /** Refuses the request before anything else is checked. */
  readonly error: RequestError | undefined;
};

type RoutedRequest = IncomingRequest & {
  readonly route: Route;
  readonly call: Call;
  /** Released at the end of the request. */
  readonly slots: Pick<Slot, "release">[];
};

/** The authenticated caller, as soon as the request has been authorised, and its slot among the calls in flight. */
type Caller = { principal?: Principal; slot?: CallSlot };

/**
 * The way of one request: it finds the route, authenticates and admits the caller by the headers alone, lets the route
 * read the body and reply, and waits until the client has read the reply.
 */
export class RequestPipeline {
  readonly #options: RequestPipelineOptions;
  readonly #streams = new Set<AbortController>();
  #isStopping = false;

  constructor(options: RequestPipelineOptions) {
    this.#options = options;
  }

  /** From now on authenticated calls are refused, and streams are aborted. */
  stop(): void {
    this.#isStopping = true;
    for (const stream of this.#streams) {
      stream.abort(shuttingDown());
    }
  }

  /** Settles when the reply has been delivered or cut. */
  async answer(incoming: IncomingRequest): Promise<void> {
    const { exchange, head, abort, bytes } = incoming;
    const { limits } = this.#options;
    const { response } = exchange;
    const startTime = performance.now();
    const closed = whenClosed(response, abort);
    closeLingering(exchange.request, response, limits);

    const route = this.#findRoute(head, exchange);
    if (route.isStream) {
      this.#streams.add(abort);
    }
    if (route.isStream && this.#isStopping) {
      abort.abort(shuttingDown());
    }
    const call: Call = {
      requestId: readRequestId(head.headers),
      protocol: route.protocol,
      origin: () => originOf(exchange.request),
      headers: head.headers,
      signal: abort.signal,
      replyHeaders: new Map(),
    };
    response.setHeader("x-request-id", call.requestId);
    const slots: RoutedRequest["slots"] = [];
    try {
      await this.#serve({ ...incoming, route, call, slots });
      if (!(await settlesWithin(deliveryMs(response, limits), closed))) {
        abort.abort(new Error("the caller did not take its reply"));
        exchange.cut();
      }
    } finally {
      for (const slot of slots) {
        slot.release();
      }
      bytes.releaseAll();
      this.#streams.delete(abort);
    }
    const reply = { status: response.statusCode, ms: Math.round(performance.now() - startTime) };
    this.#logCall(head, { ...reply, isPublic: route.access === "public" }, call);
  }

  #findRoute(head: RequestHead, exchange: HttpExchange): Route {
    const { cors, protocolHandlers } = this.#options;
    try {
      requireUnambiguous(head, exchange);
      if (cors.allow(head, exchange)) {
        return createPreflightRoute();
      }
      for (const handler of protocolHandlers) {
        const route = handler.match(head);
        if (route) {
          return route;
        }
      }
    } catch (error) {
      return createRefusingRoute(error);
    }
    return createRefusingRoute(RequestError.of("ROUTE_NOT_FOUND"));
  }

  /** Lets the route serve the request, or refuse it. Settles when the reply has been written. */
  async #serve(request: RoutedRequest): Promise<void> {
    const { accessControl, refusalLimit, scheduler } = this.#options;
    const { route, exchange, call, abort, bytes, slots } = request;
    const caller: Caller = {};
    let watch: CredentialWatch | undefined;
    try {
      if (request.error !== undefined) {
        throw request.error;
      }
      const { access } = route;
      const isAdmitted =
        access === "public" ? await this.#admitKeyless(request) : await this.#admit(access, request, caller);
      if (!isAdmitted) {
        return;
      }
      if (call.headers.get("expect")?.[0]?.toLowerCase() === "100-continue") {
        exchange.response.writeContinue();
      }
      const { principal, slot } = caller;
      if (principal && route.isStream) {
        watch = accessControl.watch(credentialsOf(request), abort);
      }
      slots.push(refusalLimit.enter(exchange));
      await route.serve(
        exchange,
        principal && slot ? authenticatedCall(call, { principal, slot, bytes, scheduler }) : call,
      );
    } catch (error) {
      if (exchange.response.headersSent) {
        throw error;
      }
      await this.#refuse(request, error, caller.principal);
    } finally {
      caller.slot?.release();
      bytes.releaseBody();
      await watch?.stop();
    }
  }

  /** Admits a request that needs a key. Throws RequestError if it is refused. False: the client has disconnected. */
  async #admit(access: Exclude<Route["access"], "public">, request: RoutedRequest, caller: Caller): Promise<boolean> {
    const { accessControl, keyless, calls, scheduler, rates } = this.#options;
    const { route, exchange, call, abort, bytes, slots } = request;
    if (this.#isStopping) {
      throw shuttingDown();
    }
    const principal = await accessControl.authorize(access, credentialsOf(request), exchange);
    caller.principal = principal;
    // Rapid Reset: a stream that its client has reset meanwhile costs no more than the look-up of its key.
    if (hasDisconnected(call.signal)) {
      return false;
    }
    rates?.take(principal);
    bytes.owner = principal;
    caller.slot = calls.take(principal);
    await scheduler.takeForRequest(principal, exchange);
    if (hasDisconnected(call.signal)) {
      return false;
    }
    bytes.requireMemory();
    if (route.isStream) {
      caller.slot.wait();
    }
    // A leaked watch token may be used by anybody, so that its streams count for the client address too.
    if (route.token !== undefined) {
      slots.push(keyless.takeStream(exchange, abort));
    }
    return true;
  }

  /** Admits a request without a key. False: it has been cut, or the client has disconnected. */
  async #admitKeyless(request: RoutedRequest): Promise<boolean> {
    const { keyless } = this.#options;
    const { route, exchange, call, abort, slots } = request;
    if (!this.#takeKeylessSlot(request)) {
      return false;
    }
    if (route.isStream) {
      slots.push(keyless.takeStream(exchange, abort));
    }
    await keyless.waitForTurn(exchange);
    // The connection may have been cut in the meantime, for too many requests.
    return !hasDisconnected(call.signal);
  }

  /** Writes the error response of a request, within the limits on error responses. */
  async #refuse(request: RoutedRequest, error: unknown, principal: Principal | undefined): Promise<void> {
    const { keyless, scheduler, tarpit, refusalLimit } = this.#options;
    const { route, exchange, call, slots } = request;
    // The error response to an unauthenticated caller takes a slot too.
    if (principal === undefined && slots.length === 0 && !this.#takeKeylessSlot(request)) {
      return;
    }
    const isKeyless = route.access === "public" || request.error !== undefined;
    if (isKeyless && !refusalLimit.take(exchange)) {
      return;
    }
    if (isKeyless) {
      await keyless.waitForTurn(exchange);
    } else if (principal !== undefined) {
      await scheduler.takeForRequest(principal, exchange);
    }
    await tarpit.wait(error, { address: exchange.address, signal: call.signal });
    if (hasDisconnected(call.signal)) {
      return;
    }
    await route.refuse(exchange, call, this.#toRequestError(error, call));
  }

  /** Takes a slot for a request without a key; cuts the request if none is free. */
  #takeKeylessSlot({ exchange, slots }: RoutedRequest): boolean {
    const { keyless, refusalLimit } = this.#options;
    const slot = keyless.takeRequest(exchange);
    if (slot !== undefined) {
      slots.push(slot);
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

  #logCall({ method, path }: RequestHead, { isPublic, ...reply }: LoggedReply, call: Call): void {
    const { requestId, protocol, signal, replyHeaders } = call;
    const line = { requestId, protocol, method, path, ...reply, isAborted: signal.aborted };
    // An error of a workflow concerns its author, and the failure of a probe has been logged where it arose.
    const isServerFault = reply.status >= 500 && !replyHeaders.has("x-execution-status") && !isPublic;
    this.#options.log[isServerFault ? "warn" : "debug"](line, "request");
  }
}

type LoggedReply = { readonly status: number; readonly ms: number; readonly isPublic: boolean };

function credentialsOf({ call, route }: RoutedRequest) {
  return { headers: call.headers, token: route.token };
}

/*
 * The socket layer: one port, every protocol. For each request it finds the protocol handler, decides on the headers alone whether
 * the caller may pass, and only then lets the handler read the body and reply.
 *
 * - No byte of a body is read on behalf of a caller whose key or scope is bad.
 * - Every request gets one reply, or its connection is cut: a failing protocol handler included.
 * - A stream ends at once at `stop()`, and soon after its key has ended: it would never end by itself.
 * - After `stop()` no socket is open, and every call has been told by its signal.
 * - Keys and bodies are never logged.
 */
import type { Logger } from "pino";
import { systemClock } from "../domain/clock.ts";
import type { Call } from "../domain/http/call.ts";
import type { HttpExchange, ProtocolHandler, RequestHead, Route } from "../domain/http/protocol-handler.ts";
import type { Principal } from "../domain/principal.ts";
import { RequestError } from "../domain/request-error.ts";
import type { Service } from "../domain/service.ts";
import type { Document } from "../gateway/document.ts";
import { ownCall } from "./admission/authenticated-call.ts";
import { CallsInFlight, type Seat } from "./admission/calls-in-flight.ts";
import { KeylessPlaces } from "./admission/keyless-admission.ts";
import { RefusalShare } from "./admission/refusal-rate-limit.ts";
import { RefusalPace } from "./admission/tarpit.ts";
import { ThreadTurns } from "./admission/tenant-scheduler.ts";
import { Admission, type AdmissionOptions, type KeyWatch } from "./authentication/access-control.ts";
import { BodyBytes, type RequestBytes } from "./bodies/bytes-in-flight.ts";
import { BodyTurns } from "./bodies/large-body-queue.ts";
import { guardReply } from "./connections/lingering-close.ts";
import { shuttingDown } from "./http1/close-idle-connection.ts";
import { requireOneReading } from "./http1/malformed-request.ts";
import type { Place } from "./limits/address-slots.ts";
import type { ServerLimits } from "./limits/server-limits.ts";
import { Listener, type ListenerOptions } from "./listener.ts";
import { Cors } from "./requests/cors.ts";
import { createExchange, readHead, readRequestId } from "./requests/http-exchange.ts";
import { createEmptyRoute, createPublicPages, createRefusingRoute } from "./requests/public-pages.ts";
import { hasLeft, takeMs, whenClosed, within } from "./requests/reply-delivery.ts";
import { originOf } from "./requests/request-origin.ts";

export type ServerOptions = AdmissionOptions & {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Asked in this order; the first that knows a request has it. */
  readonly protocolHandlers: readonly ProtocolHandler[];
  /** What anybody may read, by path. */
  readonly pages?: ReadonlyMap<string, () => Document>;
  /** Counts a request by whose it is, on its headers alone; throws RequestError where it is one too many. */
  readonly count?: (principal: Principal) => void;
  readonly log: Logger;
  readonly limits: ServerLimits;
  /** The origins whose pages may call, as `https://console.example.com`; none by default. */
  readonly corsOrigins?: readonly string[];
};

/** What lets a request through, each by a bound of its own. */
type Gates = {
  readonly admission: Admission;
  readonly keyless: KeylessPlaces;
  readonly calls: CallsInFlight;
  readonly bytes: BodyBytes;
  readonly turns: BodyTurns;
  readonly thread: ThreadTurns;
  readonly pace: RefusalPace;
  readonly refusals: RefusalShare;
};

type OpenCall = { readonly settled: Promise<void>; readonly abort: AbortController };

export class Server implements Service {
  readonly #options: ServerOptions;
  readonly #protocolHandlers: readonly ProtocolHandler[];
  readonly #listener: Listener;
  readonly #cors: Cors;
  readonly #gates: Gates;
  readonly #open = new Set<OpenCall>();
  readonly #streams = new Set<AbortController>();
  #isRetiring = false;
  #isStopping = false;

  constructor(options: ServerOptions) {
    this.#options = options;
    const readiness = { isReady: options.isReady, isStopping: () => this.#isRetiring };
    this.#protocolHandlers = [createPublicPages(readiness, options.pages ?? new Map()), ...options.protocolHandlers];
    this.#gates = {
      admission: new Admission(options),
      keyless: new KeylessPlaces(options.limits),
      calls: new CallsInFlight(options.limits),
      bytes: new BodyBytes(options.limits),
      turns: new BodyTurns(),
      thread: new ThreadTurns(),
      pace: new RefusalPace(options.limits, systemClock),
      refusals: new RefusalShare(options.limits, systemClock),
    };
    this.#cors = new Cors(options.corsOrigins ?? []);
    this.#listener = new Listener({
      ...options,
      receive: (...pair) => this.#receive(...pair),
      turnOf: (address) => this.#gates.refusals.turnOf(address),
      isWaiting: (address) => this.#gates.thread.isWaiting(address),
    });
  }

  async start(): Promise<void> {
    await this.#listener.start();
  }

  /** Tells who asks that it is not ready, and lets no new connection come. Calls are still served. */
  async retire(): Promise<void> {
    this.#isRetiring = true;
    await this.#listener.closePort();
  }

  async stop(): Promise<void> {
    await this.retire();
    this.#isStopping = true;
    for (const stream of this.#streams) stream.abort(shuttingDown());
    await this.#listener.stop();
    for (const { abort } of this.#open) {
      abort.abort(new Error("the server stops"));
    }
    const settled = Promise.allSettled([...this.#open].map((call) => call.settled));
    await within(settled, this.#options.limits.settleMs);
    if (this.#open.size > 0) {
      this.#options.log.error({ calls: this.#open.size }, "calls went on after the server had stopped");
    }
  }

  /** Where the server listens, as `http://127.0.0.1:4180`. Throws before `start()` and after `stop()`. */
  get url(): string {
    return this.#listener.url;
  }

  #receive(...[request, response, refusal]: Parameters<ListenerOptions["receive"]>): void {
    const abort = new AbortController();
    const head = readHead(request);
    const bytes = this.#gates.bytes.open(request);
    const exchange = createExchange(request, response, {
      headers: head.headers,
      timeoutMs: this.#options.limits.bodyMs,
      bytes,
      turns: this.#gates.turns,
    });
    const settled = this.#answer({ exchange, head, abort, refusal, bytes })
      .catch((error: unknown) => {
        this.#options.log.error({ err: error }, "a request could not be answered");
        exchange.cut();
      })
      .finally(() => {
        this.#open.delete(call);
        this.#streams.delete(abort);
      });
    const call: OpenCall = { settled, abort };
    this.#open.add(call);
  }

  async #answer({ exchange, head, abort, refusal, bytes }: Incoming): Promise<void> {
    const { limits } = this.#options;
    const { response } = exchange;
    const startTime = performance.now();
    const closed = whenClosed(response, abort);
    guardReply(exchange.request, response, limits);

    const route = this.#findRoute(head, exchange);
    if (route.isStream) this.#streams.add(abort);
    if (route.isStream && this.#isStopping) abort.abort(shuttingDown());
    const call: Call = {
      requestId: readRequestId(head.headers),
      protocol: route.protocol,
      origin: () => originOf(exchange.request),
      headers: head.headers,
      signal: abort.signal,
      replyHeaders: new Map(),
    };
    response.setHeader("x-request-id", call.requestId);
    const held: Passing["held"] = [];
    try {
      await this.#pass(route, exchange, { call, abort, held, refusal, bytes });
      if (!(await within(closed, takeMs(response, limits)))) {
        abort.abort(new Error("the caller did not take its reply"));
        exchange.cut();
      }
    } finally {
      for (const place of held) place.leave();
      bytes.leave();
    }
    const reply = { status: response.statusCode, ms: Math.round(performance.now() - startTime) };
    this.#logCall(head, { ...reply, isPublic: route.access === "public" }, call);
  }

  #findRoute(head: RequestHead, exchange: HttpExchange): Route {
    try {
      requireOneReading(head, exchange);
      if (this.#cors.allow(head, exchange)) return createEmptyRoute();
      for (const handler of this.#protocolHandlers) {
        const route = handler.match(head);
        if (route) return route;
      }
    } catch (error) {
      return createRefusingRoute(error);
    }
    return createRefusingRoute(new RequestError("ROUTE_NOT_FOUND", "There is nothing under this path."));
  }

  /** Lets the request pass to its route, or refuses it. Settles when the reply is handed over. */
  async #pass(route: Route, exchange: HttpExchange, { call, abort, held, refusal, bytes }: Passing): Promise<void> {
    const { admission, keyless, calls, thread, pace, refusals } = this.#gates;
    const shown = { headers: call.headers, token: route.token };
    let watch: KeyWatch | undefined;
    let principal: Principal | undefined;
    let seat: Seat | undefined;
    try {
      if (refusal !== undefined) throw refusal;
      if (route.access !== "public") {
        if (this.#isStopping) throw shuttingDown();
        principal = await admission.admit(route.access, shown, exchange);
        // Who has gone meanwhile, as one who resets each request at once, costs no more than the look-up of its key.
        if (hasLeft(call.signal)) return;
        this.#options.count?.(principal);
        bytes.owner = principal;
        seat = calls.enter(principal);
        await thread.begin(principal, exchange);
        if (hasLeft(call.signal)) return;
        bytes.requireRoom();
        if (route.isStream) seat.wait();
        // Whoever finds a token may be anybody, so that its streams count for the address too.
        if (route.token !== undefined) held.push(keyless.takeStream(exchange, abort));
      } else if (this.#takePlace(exchange, held)) {
        if (route.isStream) held.push(keyless.takeStream(exchange, abort));
        await keyless.waitForTurn(exchange);
        // A connection that has sent too many is cut while its requests wait.
        if (hasLeft(call.signal)) return;
      } else return;
      if (call.headers.get("expect")?.[0]?.toLowerCase() === "100-continue") {
        exchange.response.writeContinue();
      }
      if (principal && route.isStream) watch = admission.watchKey(shown, abort);
      held.push(refusals.enter(exchange));
      await route.serve(exchange, principal && seat ? ownCall(call, { principal, seat, bytes, thread }) : call);
    } catch (error) {
      if (exchange.response.headersSent) {
        throw error;
      }
      // Who has shown no key holds a place by a refusal too.
      if (principal === undefined && held.length === 0 && !this.#takePlace(exchange, held)) return;
      const isKeyless = route.access === "public" || refusal !== undefined;
      if (isKeyless && !refusals.take(exchange)) return;
      if (isKeyless) await keyless.waitForTurn(exchange);
      else if (principal !== undefined) await thread.begin(principal, exchange);
      await pace.wait(error, { address: exchange.address, signal: call.signal });
      if (hasLeft(call.signal)) return;
      await route.refuse(exchange, call, this.#toRefusal(error, call));
    } finally {
      seat?.leave();
      bytes.leaveBody();
      await watch?.end();
    }
  }

  /** Whether a request without a key has a place; cuts it where it has none. */
  #takePlace(exchange: HttpExchange, held: Passing["held"]): boolean {
    const { keyless, refusals } = this.#gates;
    const place = keyless.takeRequest(exchange);
    if (place !== undefined) held.push(place);
    else if (refusals.take(exchange)) exchange.cut();
    return place !== undefined;
  }

  #toRefusal(error: unknown, { requestId }: Call): RequestError {
    if (error instanceof RequestError) return error;
    this.#options.log.error({ err: error, requestId }, "a request failed");
    return new RequestError("SERVER_ERROR", "The server failed to answer; the request id finds the cause in its log.");
  }

  #logCall({ method, path }: RequestHead, { isPublic, ...reply }: Reply, call: Call): void {
    const { requestId, protocol, signal, replyHeaders } = call;
    const line = { requestId, protocol, method, path, ...reply, isAborted: signal.aborted };
    // What a workflow ended with is its author's to look at, and a probe's answer says what the log says already.
    const isFault = reply.status >= 500 && !replyHeaders.has("x-execution-status") && !isPublic;
    this.#options.log[isFault ? "warn" : "debug"](line, "request");
  }
}

type Passing = {
  readonly call: Call;
  readonly abort: AbortController;
  /** The places that the request holds until its end. */
  readonly held: Pick<Place, "leave">[];
  readonly refusal: RequestError | undefined;
  readonly bytes: RequestBytes;
};

/** One request as it came. */
type Incoming = Pick<Passing, "abort" | "refusal" | "bytes"> & {
  readonly exchange: HttpExchange;
  readonly head: RequestHead;
};

type Reply = { readonly status: number; readonly ms: number; readonly isPublic: boolean };

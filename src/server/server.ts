/*
 * The HTTP server: one port for every protocol. `listener.ts` accepts connections, `request-pipeline.ts` is the way of
 * one request. Each folder holds one mechanism: limits, connections, http1, http2, bodies, requests, authentication,
 * admission.
 *
 * - No byte of a body is read for a caller whose key or scope is invalid.
 * - Every request gets one reply, or its connection is cut: also if a protocol handler fails.
 * - A stream ends at `stop()`, and soon after its key has ended: it would never end by itself.
 * - After `stop()` no socket is open, and the signal of every call has aborted.
 * - Keys and bodies are never logged.
 */
import { systemClock } from "../domain/clock.ts";
import { settlesWithin } from "../domain/deadline.ts";
import type { Service } from "../domain/service.ts";
import type { Document } from "../gateway/document.ts";
import { CallsInFlight } from "./admission/calls-in-flight.ts";
import { KeylessAdmission } from "./admission/keyless-admission.ts";
import { RefusalRateLimit } from "./admission/refusal-rate-limit.ts";
import { Tarpit } from "./admission/tarpit.ts";
import { TenantScheduler } from "./admission/tenant-scheduler.ts";
import { AccessControl, type AccessControlOptions } from "./authentication/access-control.ts";
import { BytesInFlight } from "./bodies/bytes-in-flight.ts";
import { LargeBodyQueue } from "./bodies/large-body-queue.ts";
import { Listener, type ListenerOptions } from "./listener.ts";
import { RequestPipeline, type RequestPipelineOptions } from "./request-pipeline.ts";
import { Cors } from "./requests/cors.ts";
import { createExchange, type ReceiveRequest, readHead } from "./requests/http-exchange.ts";
import { createPublicPages } from "./requests/public-pages.ts";

export type ServerOptions = AccessControlOptions &
  Pick<ListenerOptions, "host" | "port"> &
  Pick<RequestPipelineOptions, "protocolHandlers" | "limits" | "log"> &
  Partial<Pick<RequestPipelineOptions, "rates">> & {
    /** Documents that need no key, by path. */
    readonly pages?: ReadonlyMap<string, () => Document>;
    /** The origins whose pages may call, as `https://console.example.com`; none by default. */
    readonly corsOrigins?: readonly string[];
  };

type OpenRequest = { readonly settled: Promise<void>; readonly abort: AbortController };

export class Server implements Service {
  readonly #options: ServerOptions;
  readonly #listener: Listener;
  readonly #pipeline: RequestPipeline;
  readonly #bytes: BytesInFlight;
  readonly #bodies = new LargeBodyQueue();
  readonly #open = new Set<OpenRequest>();
  #isRetiring = false;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { limits, log, rates, pages = new Map(), corsOrigins = [], isReady } = options;
    this.#bytes = new BytesInFlight(limits);
    const publicPages = createPublicPages({ isReady, isStopping: () => this.#isRetiring }, pages);
    const scheduler = new TenantScheduler();
    const refusalLimit = new RefusalRateLimit(limits, systemClock);
    this.#pipeline = new RequestPipeline({
      protocolHandlers: [publicPages, ...options.protocolHandlers],
      cors: new Cors(corsOrigins),
      accessControl: new AccessControl(options),
      keyless: new KeylessAdmission(limits),
      calls: new CallsInFlight(limits),
      scheduler,
      tarpit: new Tarpit(limits, systemClock),
      refusalLimit,
      rates,
      limits,
      log,
    });
    this.#listener = new Listener({
      host: options.host,
      port: options.port,
      limits,
      log,
      receive: (...request) => this.#receive(...request),
      penaltyOf: (address) => refusalLimit.penaltyOf(address),
      hasQueuedRequests: (address) => scheduler.hasQueuedRequests(address),
    });
  }

  async start(): Promise<void> {
    await this.#listener.start();
  }

  /** The first step of a graceful shutdown: fails the readiness probe and closes the port. Calls are still served. */
  async retire(): Promise<void> {
    this.#isRetiring = true;
    await this.#listener.closePort();
  }

  async stop(): Promise<void> {
    await this.retire();
    this.#pipeline.stop();
    await this.#listener.stop();
    for (const { abort } of this.#open) {
      abort.abort(new Error("the server stops"));
    }
    const settled = Promise.allSettled([...this.#open].map((request) => request.settled));
    await settlesWithin(this.#options.limits.settleMs, settled);
    if (this.#open.size > 0) {
      this.#options.log.error({ calls: this.#open.size }, "calls went on after the server had stopped");
    }
  }

  /** The URL of the server, as `http://127.0.0.1:4180`. Throws before `start()` and after `stop()`. */
  get url(): string {
    return this.#listener.url;
  }

  #receive(...[request, response, error]: Parameters<ReceiveRequest>): void {
    const { limits, log } = this.#options;
    const abort = new AbortController();
    const head = readHead(request);
    const bytes = this.#bytes.open(request);
    const exchange = createExchange(request, response, {
      headers: head.headers,
      timeoutMs: limits.bodyMs,
      bytes,
      bodies: this.#bodies,
    });
    const settled = this.#pipeline
      .answer({ exchange, head, abort, bytes, error })
      .catch((cause: unknown) => {
        log.error({ err: cause }, "a request could not be answered");
        exchange.cut();
      })
      .finally(() => this.#open.delete(open));
    const open: OpenRequest = { settled, abort };
    this.#open.add(open);
  }
}

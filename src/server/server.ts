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
import type { EventLoopYielder } from "../domain/event-loop-yielder.ts";
import type { RateLimiter } from "../domain/limits/rate-limit.ts";
import type { Service } from "../domain/service.ts";
import type { Document } from "../gateway/document.ts";
import { Admission } from "./admission/admission.ts";
import { KeylessAdmission } from "./admission/keyless-admission.ts";
import { RefusalRateLimit } from "./admission/refusal-rate-limit.ts";
import { Tarpit } from "./admission/tarpit.ts";
import { AccessControl, type AccessControlOptions } from "./authentication/access-control.ts";
import { DecompressionQueue } from "./bodies/decompression-queue.ts";
import { Listener, type ListenerOptions } from "./listener.ts";
import { RequestPipeline, type RequestPipelineOptions } from "./request-pipeline.ts";
import { Cors } from "./requests/cors.ts";
import { createPublicPages } from "./requests/public-pages.ts";
import { Refusals } from "./requests/refusals.ts";

export type ServerOptions = AccessControlOptions &
  Pick<ListenerOptions, "host" | "port"> &
  Pick<RequestPipelineOptions, "protocolHandlers" | "limits" | "onEnd" | "log"> & {
    /** Shares the event loop between requests and executions. */
    readonly yielder: EventLoopYielder;
    /** What the probes say. */
    readonly version?: string;
    /** Rate limits by key and by organisation; absent: none. */
    readonly rates?: Pick<RateLimiter, "take">;
    /** Documents that need no key, by path. */
    readonly pages?: ReadonlyMap<string, () => Document>;
    /** The origins whose pages may call, as `https://console.example.com`; none by default. */
    readonly corsOrigins?: readonly string[];
  };

export class Server implements Service {
  readonly #options: ServerOptions;
  readonly #listener: Listener;
  readonly #pipeline: RequestPipeline;
  #isRetiring = false;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { limits, log, rates, pages = new Map(), corsOrigins = [], version, isReady } = options;
    const publicPages = createPublicPages({ version, isReady, isStopping: () => this.#isRetiring }, pages);
    const admission = new Admission(limits, options.yielder);
    const refusalLimit = new RefusalRateLimit(limits, systemClock);
    const keyless = new KeylessAdmission(limits);
    const tarpit = new Tarpit(limits, systemClock);
    this.#pipeline = new RequestPipeline({
      protocolHandlers: [publicPages, ...options.protocolHandlers],
      cors: corsOrigins.length === 0 ? undefined : new Cors(corsOrigins),
      accessControl: new AccessControl(options),
      rates,
      refusals: new Refusals({ keyless, admission, tarpit, refusalLimit, log }),
      limits,
      onEnd: options.onEnd,
      log,
    });
    this.#listener = new Listener({
      host: options.host,
      port: options.port,
      limits,
      log,
      receiver: this.#pipeline,
      exchange: { limits, admission, decompressions: new DecompressionQueue() },
      penalties: refusalLimit,
      queuedRequests: admission.queuedRequests,
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
    const ended = this.#pipeline.abortAll(new Error("the server stops"));
    if (!(await settlesWithin(this.#options.limits.settleMs, ended))) {
      this.#options.log.error({ calls: this.#pipeline.size }, "calls went on after the server had stopped");
    }
  }

  /** The URL of the server, as `http://127.0.0.1:4180`. Throws before `start()` and after `stop()`. */
  get url(): string {
    return this.#listener.url;
  }
}

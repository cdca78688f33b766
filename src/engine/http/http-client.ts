import { lookup } from "node:dns/promises";
import type { Service } from "../../domain/service.ts";
import { type ReadAnswer, readAnswerBody, type UnreadAnswer } from "./answer-body.ts";
import { CallDeadline } from "./call-deadline.ts";
import type { EgressAllow } from "./egress-allow-list.ts";
import { EnvironmentAgents } from "./environment-agents.ts";
import { guardedConnector, type Resolve } from "./guarded-connector.ts";
import { HttpFailure } from "./http-failure.ts";
import type { Hop, HttpAnswer, HttpRequest } from "./http-request.ts";
import { locationOf, redirectedHop } from "./redirect.ts";
import { checkRequestHeaders } from "./request-headers.ts";
import { failureOf, type Sender, sendHop } from "./send-hop.ts";
import { SsrfGuard } from "./ssrf-guard.ts";
import { readTargetUrl } from "./target-url.ts";

/*
 * The HTTP client for workflows, guarded against SSRF (server-side request forgery). Invariants:
 * - It connects only to public addresses and to those on the allow list. The check is on the address itself, on every hop.
 * - A call ends by its deadline, and buffers no more of the answer than its limit, whatever the server sends.
 * - Environments share no connection. No proxy, socket path or environment variable changes where a call goes.
 * - A definite answer is any status but 2xx, or a 2xx that was read to its end. Everything else is an HttpFailure, which says
 *   whether the server may have acted on a request whose answer was lost.
 */

export type HttpClientOptions = {
  readonly allow: EgressAllow;
  /** Resolves names to addresses. The system's resolver by default. */
  readonly resolve?: Resolve;
  /** The number of environments whose connections are kept. 256 by default. */
  readonly environmentsMax?: number;
};

export class HttpClient implements Service {
  readonly #options: HttpClientOptions;
  readonly #guard: SsrfGuard;
  readonly #calls = new Map<CallDeadline, Promise<HttpAnswer>>();
  #running: Running | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: HttpClientOptions) {
    this.#options = options;
    this.#guard = new SsrfGuard(options.allow);
  }

  async start(): Promise<void> {
    if (this.#running !== undefined) {
      return;
    }
    const { resolve = systemResolve, environmentsMax = 256 } = this.#options;
    const stopping = new AbortController();
    const connect = guardedConnector({ guard: this.#guard, resolve, signal: stopping.signal });
    this.#running = { stopping, agents: new EnvironmentAgents(connect, { agentsMax: environmentsMax }) };
  }

  /** Aborts the calls in flight and closes all connections. */
  stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running !== undefined) {
      this.#ended = this.#end(running);
    }
    return this.#ended;
  }

  /** Sends a request and follows its redirects. Rejects with HttpFailure, and with nothing else. */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    if (this.#running === undefined) {
      throw new HttpFailure("ABORTED", "The service is stopping, and sends no more requests.");
    }
    checkRequestHeaders(request.headers);
    const { method, headers, body } = request;
    const url = readTargetUrl(request.url);
    const first = body === undefined ? { method, url, headers } : { method, url, headers, body };
    const deadline = new CallDeadline(request.timeoutMs, request.signal);
    const call = this.#follow(first, { request, agents: this.#running.agents, deadline });
    this.#calls.set(deadline, call);
    try {
      return await call;
    } finally {
      deadline.clear();
      this.#calls.delete(deadline);
    }
  }

  async #end({ stopping, agents }: Running): Promise<void> {
    stopping.abort();
    for (const deadline of this.#calls.keys()) {
      deadline.abort();
    }
    await Promise.allSettled(this.#calls.values());
    await agents.destroy();
  }

  async #follow(first: Hop, sender: Following): Promise<HttpAnswer> {
    const { request, agents, deadline } = sender;
    const { redirectsMax = 5, answerBytesMax = 1024 * 1024, secretHeaders = noHeaders } = request;
    let hop = first;
    let isSent = false;
    let isAnswered = false;
    const onSend = () => {
      isSent = true;
    };
    for (let redirects = 0; ; redirects += 1) {
      try {
        const reply = await sendHop(hop, { request, agents, deadline, onSend });
        isAnswered = true;
        const { status } = reply;
        const location = redirectsMax > 0 ? locationOf(reply) : undefined;
        if (location === undefined) {
          const url = hop.url.href;
          const read = readAnswerBody(reply, { bytesMax: answerBytesMax });
          const rest: ReadAnswer & Pick<HttpAnswer, "unread"> = isSuccess(status)
            ? await read
            : await read.catch((error: unknown) => unreadBody(reply, failureOf(deadline.failure ?? error, hop.url)));
          return rest.unread === undefined
            ? { status, headers: rest.headers, body: rest.body, url, redirects }
            : { status, ...rest, url, redirects };
        }
        reply.body.discard();
        if (redirects === redirectsMax) {
          throw tooManyRedirects(redirectsMax);
        }
        hop = redirectedHop(hop, { status, location, guard: this.#guard, secretHeaders });
        request.checkHop?.(hop);
      } catch (error) {
        const failure = failureOf(deadline.failure ?? error, hop.url);
        if (!isSent) {
          throw failure.asUnsent();
        }
        // A refusal of ours comes before a request is sent or after its answer: so the last server has answered.
        throw isAnswered && !isLost(failure) ? failure.asDefinite() : failure;
      }
    }
  }
}

const noHeaders: ReadonlySet<string> = new Set();

type Running = { readonly agents: EnvironmentAgents; readonly stopping: AbortController };
type Following = Omit<Sender, "onSend"> & { readonly request: HttpRequest };

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** Whether the request or a part of its answer was lost: then nobody knows what the server did. */
function isLost({ reason }: HttpFailure): boolean {
  return reason === "CONNECTION_FAILED" || reason === "TIMED_OUT" || reason === "ABORTED";
}

/** An error status is a definite answer, even where its body could not be read. */
function unreadBody({ headers }: UnreadAnswer, failure: HttpFailure) {
  if (failure.reason === "ABORTED") {
    throw failure;
  }
  return { headers, body: new Uint8Array(), unread: failure.asDefinite() };
}

async function systemResolve(hostname: string): Promise<readonly string[]> {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address }) => address);
}

function tooManyRedirects(redirectsMax: number): HttpFailure {
  return new HttpFailure(
    "REDIRECT_LIMIT",
    `The server redirected more than ${redirectsMax} times. Call the URL at the end of the chain.`,
    { limit: { name: "redirects", value: redirectsMax } },
  );
}

import { once } from "node:events";
import {
  createServer as createHttp1,
  type Server as Http1,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import {
  createServer as createHttp2,
  type Http2Server as Http2,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import { Server as Port, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import type { RequestError } from "../domain/request-error.ts";
import type { Service } from "../domain/service.ts";
import type { HttpVersion } from "./connections/detect-http-version.ts";
import { untilQuiet } from "./connections/drain-accept-queue.ts";
import { BeginTurns } from "./connections/new-connection-queue.ts";
import { ReadTurns } from "./connections/read-throttle.ts";
import { beginConnection } from "./connections/start-connection.ts";
import { sayFarewell } from "./http1/close-idle-connection.ts";
import { endBroken } from "./http1/malformed-request.ts";
import { receiveInTurn } from "./http1/pipelining.ts";
import { Http2Sessions } from "./http2/http2-sessions.ts";
import { clientAddress } from "./limits/client-address.ts";
import type { ServerLimits } from "./limits/server-limits.ts";

export type ListenerOptions = {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly limits: ServerLimits;
  readonly log: Logger;
  /** Takes each request, or refuses it where a refusal is given. A client that asks for `100 Continue` has not been told it yet. */
  readonly receive: (
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
    refusal?: RequestError,
  ) => void;
  /** When a connection of an address may begin; undefined: now. */
  readonly turnOf: (address: string) => Promise<void> | undefined;
  /** Whether requests of an address wait for their turn. */
  readonly isWaiting: (address: string) => boolean;
};

/** How many connections may wait to be taken at the least; the machine has a bound of its own (`somaxconn`). */
const backlogMin = 511;

/**
 * One TCP port for HTTP/1.1 and HTTP/2 without TLS.
 *
 * The HTTP/1.1 server owns the port, since Node enforces its time limits only on a server that listens; but each
 * connection is first looked at, and those that speak HTTP/2 go to a server that never listens itself.
 */
export class Listener implements Service {
  readonly #options: ListenerOptions;
  readonly #http1: Http1;
  readonly #http2: Http2;
  readonly #sockets = new Set<Socket>();
  readonly #undecided = new Set<Socket>();
  readonly #sessions: Http2Sessions;
  /** The requests that each connection of HTTP/1.1 has sent and that are not answered yet, in order. */
  readonly #unanswered = new Map<Duplex, Set<ServerResponse>>();
  readonly #turns: BeginTurns;
  readonly #reads: ReadTurns;
  #accepted = 0;
  #ended: Promise<unknown> | undefined;
  #closed: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#turns = new BeginTurns({ accepted: () => this.#accepted, isWaiting: options.isWaiting });
    this.#reads = new ReadTurns(options.limits);
    this.#sessions = new Http2Sessions({ limits: options.limits, reads: this.#reads });
    this.#http1 = this.#createHttp1();
    this.#http2 = this.#createHttp2();
  }

  async start(): Promise<void> {
    const { host, port, limits, log } = this.#options;
    // Node takes one connection in a turn of its loop. Where fewer may wait for that, a burst of one caller's makes the
    // machine drop those of others, who try again a second or three later.
    this.#http1.listen({ host, port, backlog: Math.max(backlogMin, limits.connectionsMax) });
    await once(this.#http1, "listening");
    this.#http1.on("error", (error) => log.error({ err: error }, "a connection could not be accepted"));
  }

  /**
   * Ends idle connections at once, lets requests in flight finish until the limit, then cuts what is left. A request
   * that comes meanwhile is answered, or was sent on a connection that is refused.
   */
  async stop(): Promise<void> {
    await this.closePort();
    if (this.#ended !== undefined) this.#stopped ??= this.#drain(this.#ended);
    await this.#stopped;
  }

  /**
   * Lets no new connection come; those that are there go on as before. Until then a proxy has no reason to make new ones,
   * as it would have if the old ones were ended first.
   */
  async closePort(): Promise<void> {
    if (this.#http1.listening) this.#closed ??= this.#close();
    await this.#closed;
  }

  get url(): string {
    const address = this.#http1.address();
    if (address === null || typeof address === "string") {
      throw new Error("the listener has not started");
    }
    const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
    return `http://${host}:${address.port}`;
  }

  #createHttp1(): Http1 {
    const { limits, receive } = this.#options;
    const server = createHttp1({
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersMs,
      // Node's answer to a slow body is bare, so the reader of the body, which answers in the caller's words, goes first.
      requestTimeout: limits.headersMs + 2 * limits.bodyMs,
      connectionsCheckingInterval: Math.min(1_000, limits.headersMs),
      keepAliveTimeout: limits.idleMs,
      // Judged in `server.ts`, which has words for it.
      requireHostHeader: false,
      keepAlive: true,
      noDelay: true,
    });
    server.maxConnections = limits.connectionsMax;
    // Node drops the headers beyond a number of them in silence, and with them a duplicate that has to be refused.
    server.maxHeadersCount = 0;
    const receiveHttp1 = (request: IncomingMessage, response: ServerResponse) => {
      const { socket } = request;
      this.#reads.count(socket);
      // Its answer is the farewell.
      if (socket.writableEnded) request.resume();
      else {
        const unanswered = this.#countUnanswered(socket, response);
        receiveInTurn(request, response, { unanswered, limits, receive });
      }
    };
    server.on("request", receiveHttp1).on("checkContinue", receiveHttp1).on("checkExpectation", receiveHttp1);
    server.on("clientError", (error, socket) =>
      endBroken(error, { socket, unanswered: this.#unanswered.get(socket) ?? new Set(), limits }),
    );

    const [speakHttp1] = server.listeners("connection");
    if (speakHttp1 === undefined) {
      throw new Error("node:http takes its connections by another way than the event");
    }
    server.removeAllListeners("connection");
    server.on("connection", (socket: Socket) => {
      const address = this.#addressOf(socket);
      if (address === undefined) {
        socket.destroy();
        return;
      }
      this.#accepted += 1;
      this.#sockets.add(socket);
      this.#reads.add(socket, address);
      this.#undecided.add(socket);
      socket.once("close", () => {
        this.#sockets.delete(socket);
        this.#undecided.delete(socket);
        this.#unanswered.delete(socket);
      });
      // A connection that breaks has nobody to be told; without a listener it would end the process.
      socket.on("error", () => {});
      const speak = (version: HttpVersion) => {
        this.#undecided.delete(socket);
        if (socket.writableEnded) {
          // It was too late, and has its farewell.
          socket.resume();
        } else if (version === "http2") {
          this.#speakHttp2(socket);
        } else {
          this.#unanswered.set(socket, new Set());
          speakHttp1.call(server, socket);
          socket.resume();
        }
      };
      beginConnection(socket, address, { ...this.#options, turns: this.#turns, speak });
    });
    return server;
  }

  /** The address of a connection; undefined where that has as many as it may, or the client has gone by now. */
  #addressOf(socket: Socket): string | undefined {
    const address = clientAddress(socket);
    if (address === undefined) return undefined;
    return this.#reads.connectionsOf(address) < this.#options.limits.connectionsPerAddressMax ? address : undefined;
  }

  /** Node reads all requests that are sent ahead, and would serve them all at once. */
  #countUnanswered(socket: Socket, response: ServerResponse): number {
    const unanswered = this.#unanswered.get(socket) ?? new Set();
    unanswered.add(response);
    if (this.#stopped) response.setHeader("connection", "close");
    response.once("close", () => {
      unanswered.delete(response);
      if (this.#stopped && unanswered.size === 0) sayFarewell(socket, this.#options.limits.lingerMs);
    });
    return unanswered.size;
  }

  #createHttp2(): Http2 {
    const { limits, receive } = this.#options;
    const server = createHttp2({
      settings: { maxConcurrentStreams: limits.requestsAtATimeMax, maxHeaderListSize: limits.headerBytesMax },
      // A request that its client resets at once has begun all the same. Who gives up all that it has at a time, and
      // again, may; who goes on doing so is cut, since otherwise no bound on requests at a time would hold.
      streamResetBurst: 2 * limits.requestsAtATimeMax,
      streamResetRate: limits.requestsAtATimeMax / 4,
    });
    return server
      .on("request", (request, response) => receive(request, response))
      .on("checkContinue", (request, response) => receive(request, response));
  }

  #speakHttp2(socket: Socket): void {
    // The port's server keeps half-open sockets, as HTTP/1.1 needs them; an HTTP/2 session would outlive its client.
    socket.allowHalfOpen = false;
    // Node makes the session before `emit` returns, so this one is this socket's.
    this.#http2.once("session", (session) => this.#sessions.begin(session, socket));
    this.#http2.emit("connection", socket);
  }

  async #close(): Promise<void> {
    await untilQuiet(() => this.#accepted);
    // The way of HTTP to close a port cuts idle connections.
    this.#ended = new Promise((resolve) => Port.prototype.close.call(this.#http1, resolve));
  }

  async #drain(ended: Promise<unknown>): Promise<void> {
    const { limits } = this.#options;
    for (const unanswered of this.#unanswered.values()) {
      for (const response of unanswered) if (!response.headersSent) response.setHeader("connection", "close");
    }
    this.#endIdle();
    const bytesTimer = setTimeout(() => {
      this.#endIdle();
      for (const socket of this.#undecided) sayFarewell(socket, limits.lastBytesMs);
    }, limits.lastBytesMs);
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, limits.drainMs);
    await ended;
    clearTimeout(bytesTimer);
    clearTimeout(timer);
    // It also ends what watches over time limits.
    this.#http1.close();
  }

  #endIdle(): void {
    this.#sessions.endAll();
    for (const [socket, unanswered] of this.#unanswered) {
      if (unanswered.size === 0) sayFarewell(socket, this.#options.limits.lingerMs);
    }
  }
}

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { ServerLimits } from "../limits/server-limits.ts";
import type { ReceiveRequest } from "../requests/http-exchange.ts";
import { closeIdleConnection } from "./close-idle-connection.ts";
import { closeMalformed } from "./malformed-request.ts";
import { receivePipelined } from "./pipelining.ts";

export type Http1ServerOptions = {
  readonly limits: ServerLimits;
  readonly receive: ReceiveRequest;
  /** Called with the connection of each request that starts. */
  readonly onRequest: (socket: Socket) => void;
  /** Called with each accepted connection, before anything is read from it. */
  readonly onConnection: (socket: Socket) => void;
};

/** HTTP/1.1 by `node:http`, on the connections that are handed to `serve`. Node parses no other accepted connection. */
export class Http1Server {
  readonly #options: Http1ServerOptions;
  /** The pending responses of each connection, in order. */
  readonly #pending = new Map<Duplex, Set<ServerResponse>>();
  readonly #parse: (socket: Socket) => void;
  #isDraining = false;
  /** Node's server. It also listens on the port. */
  readonly server: Server;

  constructor(options: Http1ServerOptions) {
    this.#options = options;
    const server = createNodeServer(options.limits);
    this.server = server;
    const receive = (request: IncomingMessage, response: ServerResponse) => this.#receive(request, response);
    server.on("request", receive).on("checkContinue", receive).on("checkExpectation", receive);
    server.on("clientError", (error, socket) =>
      closeMalformed(error, { socket, pending: this.#pending.get(socket) ?? new Set(), limits: options.limits }),
    );
    const [parse] = server.listeners("connection");
    if (parse === undefined) {
      throw new Error("node:http does not take its connections by the event `connection`");
    }
    this.#parse = (socket) => parse.call(server, socket);
    server.removeAllListeners("connection");
    server.on("connection", options.onConnection);
  }

  /** Serves a paused connection whose first bytes are in its buffer. */
  serve(socket: Socket): void {
    this.#pending.set(socket, new Set());
    socket.once("close", () => this.#pending.delete(socket));
    this.#parse(socket);
    socket.resume();
  }

  /** Graceful shutdown: closes idle connections, and every other one after its last response. */
  drain(): void {
    this.#isDraining = true;
    for (const pending of this.#pending.values()) {
      for (const response of pending) {
        if (!response.headersSent) {
          response.setHeader("connection", "close");
        }
      }
    }
    this.closeIdle();
  }

  closeIdle(): void {
    for (const [socket, pending] of this.#pending) {
      if (pending.size === 0) {
        closeIdleConnection(socket, this.#options.limits.lingerMs);
      }
    }
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const { limits, receive, onRequest } = this.#options;
    const { socket } = request;
    onRequest(socket);
    // The connection was closed as idle: the 503 that was sent is the response to this request.
    if (socket.writableEnded) {
      request.resume();
    } else {
      receivePipelined(request, response, { pending: this.#addPending(socket, response), limits, receive });
    }
  }

  /** Returns the number of pending responses, since Node parses all pipelined requests and would serve them at once. */
  #addPending(socket: Socket, response: ServerResponse): number {
    const pending = this.#pending.get(socket) ?? new Set();
    pending.add(response);
    if (this.#isDraining) {
      response.setHeader("connection", "close");
    }
    response.once("close", () => {
      pending.delete(response);
      if (this.#isDraining && pending.size === 0) {
        closeIdleConnection(socket, this.#options.limits.lingerMs);
      }
    });
    return pending.size;
  }
}

function createNodeServer(limits: ServerLimits): Server {
  const server = createServer({
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headersMs,
    // Node answers a slow body with a bare 408. The body reader, which answers in the caller's protocol, must come first.
    requestTimeout: limits.headersMs + 2 * limits.bodyMs,
    connectionsCheckingInterval: Math.min(1_000, limits.headersMs),
    keepAliveTimeout: limits.idleMs,
    // `requireUnambiguous` checks it, and answers with a message.
    requireHostHeader: false,
    keepAlive: true,
    noDelay: true,
  });
  server.maxConnections = limits.connectionsMax;
  // No limit: Node silently drops the headers above it, and with them a duplicate that must be refused.
  server.maxHeadersCount = 0;
  return server;
}

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { AddressConnections, Connection } from "../connections/address-connections.ts";
import type { ServerLimits } from "../limits/server-limits.ts";
import { Exchange, type ExchangeOptions, type RequestReceiver } from "../requests/http-exchange.ts";
import { closeIdleConnection } from "./close-idle-connection.ts";
import { closeMalformed } from "./malformed-request.ts";
import { refusePipelined } from "./pipelining.ts";

export type Http1ServerOptions = {
  readonly limits: ServerLimits;
  readonly connections: Pick<AddressConnections, "countRequest" | "all">;
  readonly receiver: RequestReceiver;
  readonly exchange: ExchangeOptions;
  /** Called with each accepted connection, before anything is read from it. */
  readonly onConnection: (socket: Socket) => void;
};

/** HTTP/1.1 by `node:http`, on the connections that are handed to `serve`. Node parses no other accepted connection. */
export class Http1Server {
  readonly #options: Http1ServerOptions;
  readonly #connections = new WeakMap<Duplex, Connection>();
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
    server.on("clientError", (error, socket) => {
      const pending = this.#connections.get(socket)?.pending ?? new Set();
      closeMalformed(error, { socket, pending, limits: options.limits });
    });
    const [parse] = server.listeners("connection");
    if (parse === undefined) {
      throw new Error("node:http does not take its connections by the event `connection`");
    }
    this.#parse = (socket) => parse.call(server, socket);
    server.removeAllListeners("connection");
    server.on("connection", options.onConnection);
  }

  /** Serves a paused connection whose first bytes are in its buffer. */
  serve(connection: Connection): void {
    const { socket } = connection;
    this.#connections.set(socket, connection);
    this.#parse(socket);
    socket.resume();
  }

  /** Graceful shutdown: closes idle connections, and every other one after its last response. */
  drain(): void {
    this.#isDraining = true;
    for (const connection of this.#options.connections.all()) {
      for (const response of connection.pending) {
        this.#closeAfter(response, connection);
      }
    }
    this.closeIdle();
  }

  closeIdle(): void {
    for (const { version, socket, pending } of this.#options.connections.all()) {
      if (version === "http1" && pending.size === 0) {
        closeIdleConnection(socket, this.#options.limits.lingerMs);
      }
    }
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const { limits, connections, receiver, exchange } = this.#options;
    const connection = this.#connections.get(request.socket);
    // The connection was closed as idle: the 503 that was sent is the response to this request.
    if (connection === undefined || request.socket.writableEnded) {
      request.resume();
      return;
    }
    connections.countRequest(connection);
    connection.pending.add(response);
    if (this.#isDraining) {
      this.#closeAfter(response, connection);
    }
    if (connection.pending.size <= limits.requestsAheadMax) {
      receiver.receive(new Exchange({ request, response, connection }, exchange));
    } else {
      refusePipelined({ request, response, connection }, this.#options);
    }
  }

  #closeAfter(response: ServerResponse, connection: Connection): void {
    if (!response.headersSent) {
      response.setHeader("connection", "close");
    }
    connection.onIdle = () => closeIdleConnection(connection.socket, this.#options.limits.lingerMs);
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

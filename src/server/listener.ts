import { once } from "node:events";
import { type Socket, Server as TcpServer } from "node:net";
import type { Logger } from "pino";
import type { Service } from "../domain/service.ts";
import { AddressConnections, type Connection } from "./connections/address-connections.ts";
import { drainAcceptQueue } from "./connections/drain-accept-queue.ts";
import { NewConnectionQueue } from "./connections/new-connection-queue.ts";
import { type Penalties, type StartOptions, startConnection } from "./connections/start-connection.ts";
import { closeIdleConnection } from "./http1/close-idle-connection.ts";
import { Http1Server } from "./http1/http1-server.ts";
import { Http2Server } from "./http2/http2-server.ts";
import { clientAddress } from "./limits/client-address.ts";
import type { ServerLimits } from "./limits/server-limits.ts";
import type { ExchangeOptions, RequestReceiver } from "./requests/http-exchange.ts";

export type ListenerOptions = {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits: ServerLimits;
  readonly log: Logger;
  /** Takes each request, of which an exchange is made. */
  readonly receiver: RequestReceiver;
  readonly exchange: ExchangeOptions;
  readonly penalties: Penalties;
  /** The addresses whose requests are queued. */
  readonly queuedRequests: { has(address: string): boolean };
};

/** The smallest accept queue of the kernel, which has a maximum of its own (`somaxconn`). */
const backlogMin = 511;

/**
 * One TCP port for HTTP/1.1 and HTTP/2 without TLS.
 *
 * The HTTP/1.1 server owns the port, because Node enforces its time limits only on a server that listens. The first bytes
 * of each connection decide which server serves it; the HTTP/2 server never listens itself.
 */
export class Listener implements Service {
  readonly #options: ListenerOptions;
  readonly #http1: Http1Server;
  readonly #http2: Http2Server;
  readonly #connections: AddressConnections;
  readonly #start: StartOptions;
  readonly #accepted = { count: 0 };
  #portClosed: Promise<unknown> | undefined;
  #closing: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
    const { limits, penalties, queuedRequests } = options;
    this.#connections = new AddressConnections(limits);
    const served = { ...options, connections: this.#connections };
    const http1 = new Http1Server({ ...served, onConnection: (socket) => this.#accept(socket) });
    const http2 = new Http2Server(served);
    this.#http1 = http1;
    this.#http2 = http2;
    const queue = new NewConnectionQueue({ accepted: this.#accepted, queuedRequests });
    this.#start = { limits, penalties, queue, http1, http2 };
  }

  async start(): Promise<void> {
    const { host, port, limits, log } = this.#options;
    const { server } = this.#http1;
    // Node accepts one connection in each iteration of its event loop. If the accept queue is short, a burst from one
    // client makes the kernel drop the SYN packets of others, who retry after a second or three.
    server.listen({ host, port, backlog: Math.max(backlogMin, limits.connectionsMax) });
    await once(server, "listening");
    server.on("error", (error) => log.error({ err: error }, "a connection could not be accepted"));
  }

  /**
   * Graceful shutdown: closes idle connections at once, lets requests in flight finish until the limit, then destroys the
   * connections that are left. A request that arrives meanwhile is answered, or its connection is refused.
   */
  async stop(): Promise<void> {
    await this.closePort();
    if (this.#portClosed !== undefined) {
      this.#stopped ??= this.#drain(this.#portClosed);
    }
    await this.#stopped;
  }

  /**
   * Refuses new connections; open ones are served as before. The port closes first: if idle connections were closed
   * before, a proxy would open new ones.
   */
  async closePort(): Promise<void> {
    if (this.#http1.server.listening) {
      this.#closing ??= this.#close();
    }
    await this.#closing;
  }

  get url(): string {
    const address = this.#http1.server.address();
    if (address === null || typeof address === "string") {
      throw new Error("the listener has not started");
    }
    const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
    return `http://${host}:${address.port}`;
  }

  #accept(socket: Socket): void {
    const connection = this.#open(socket);
    if (connection === undefined) {
      socket.destroy();
      return;
    }
    this.#accepted.count += 1;
    // Without a listener the error of a broken connection would end the process.
    socket.on("error", () => {});
    startConnection(connection, this.#start);
  }

  /** Undefined if the address has as many connections as are allowed, or the client has disconnected. */
  #open(socket: Socket): Connection | undefined {
    const { remoteAddress } = socket;
    const address = remoteAddress?.includes(":") === true ? clientAddress(socket) : remoteAddress;
    return address === undefined ? undefined : this.#connections.open(socket, address);
  }

  async #close(): Promise<void> {
    await drainAcceptQueue(() => this.#accepted.count);
    // The `close` of `node:http` would also close idle connections.
    this.#portClosed = new Promise((resolve) => TcpServer.prototype.close.call(this.#http1.server, resolve));
  }

  async #drain(portClosed: Promise<unknown>): Promise<void> {
    const { limits } = this.#options;
    this.#http2.drain();
    this.#http1.drain();
    const startingTimer = setTimeout(() => {
      this.#http2.drain();
      this.#http1.closeIdle();
      for (const { version, socket } of this.#connections.all()) {
        if (version === undefined) {
          closeIdleConnection(socket, limits.lastBytesMs);
        }
      }
    }, limits.lastBytesMs);
    const timer = setTimeout(() => {
      for (const { socket } of this.#connections.all()) {
        socket.destroy();
      }
    }, limits.drainMs);
    await portClosed;
    clearTimeout(startingTimer);
    clearTimeout(timer);
    // This stops the timer by which Node checks its time limits.
    this.#http1.server.close();
  }
}

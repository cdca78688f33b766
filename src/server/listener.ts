import { once } from "node:events";
import { type Socket, Server as TcpServer } from "node:net";
import type { Logger } from "pino";
import type { Service } from "../domain/service.ts";
import type { HttpVersion } from "./connections/detect-http-version.ts";
import { drainAcceptQueue } from "./connections/drain-accept-queue.ts";
import { NewConnectionQueue } from "./connections/new-connection-queue.ts";
import { ReadThrottle } from "./connections/read-throttle.ts";
import { startConnection } from "./connections/start-connection.ts";
import { closeIdleConnection } from "./http1/close-idle-connection.ts";
import { Http1Server } from "./http1/http1-server.ts";
import { Http2Server } from "./http2/http2-server.ts";
import { clientAddress } from "./limits/client-address.ts";
import type { ServerLimits } from "./limits/server-limits.ts";
import type { ReceiveRequest } from "./requests/http-exchange.ts";

export type ListenerOptions = {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits: ServerLimits;
  readonly log: Logger;
  readonly receive: ReceiveRequest;
  /** Settles when an address that exceeded its limit of refusals may start a connection; undefined: at once. */
  readonly penaltyOf: (address: string) => Promise<void> | undefined;
  /** Whether requests of an address are queued. */
  readonly hasQueuedRequests: (address: string) => boolean;
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
  readonly #sockets = new Set<Socket>();
  /** Connections whose HTTP version is not known yet, or that are queued to start. */
  readonly #starting = new Set<Socket>();
  readonly #queue: NewConnectionQueue;
  readonly #throttle: ReadThrottle;
  #accepted = 0;
  #portClosed: Promise<unknown> | undefined;
  #closing: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
    const { limits, receive, hasQueuedRequests } = options;
    this.#queue = new NewConnectionQueue({ countAccepted: () => this.#accepted, hasQueuedRequests });
    this.#throttle = new ReadThrottle(limits);
    const onRequest = (socket: Socket) => this.#throttle.countRequest(socket);
    const onConnection = (socket: Socket) => this.#accept(socket);
    this.#http1 = new Http1Server({ limits, receive, onRequest, onConnection });
    this.#http2 = new Http2Server({ limits, receive, onRequest });
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
    const address = this.#admittedAddress(socket);
    if (address === undefined) {
      socket.destroy();
      return;
    }
    this.#accepted += 1;
    this.#sockets.add(socket);
    this.#throttle.add(socket, address);
    this.#starting.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#starting.delete(socket);
    });
    // Without a listener the error of a broken connection would end the process.
    socket.on("error", () => {});
    const { limits, penaltyOf } = this.#options;
    const serve = (version: HttpVersion) => this.#serve(version, socket);
    startConnection(socket, address, { limits, penaltyOf, queue: this.#queue, serve });
  }

  /** Undefined if the address has as many connections as are allowed, or the client has disconnected. */
  #admittedAddress(socket: Socket): string | undefined {
    const address = clientAddress(socket);
    if (address === undefined) {
      return undefined;
    }
    return this.#throttle.connectionsOf(address) < this.#options.limits.connectionsPerAddressMax ? address : undefined;
  }

  #serve(version: HttpVersion, socket: Socket): void {
    this.#starting.delete(socket);
    // It was too late, and the shutdown has answered it.
    if (socket.writableEnded) {
      socket.resume();
    } else if (version === "http2") {
      this.#http2.serve(socket);
    } else {
      this.#http1.serve(socket);
    }
  }

  async #close(): Promise<void> {
    await drainAcceptQueue(() => this.#accepted);
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
      for (const socket of this.#starting) {
        closeIdleConnection(socket, limits.lastBytesMs);
      }
    }, limits.lastBytesMs);
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) {
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

import {
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
  type Http2Server as NodeServer,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressConnections, Connection } from "../connections/address-connections.ts";
import type { ServerLimits } from "../limits/server-limits.ts";
import { Exchange, type ExchangeOptions, type RequestReceiver } from "../requests/http-exchange.ts";
import { closeWhenOld } from "./connection-age.ts";

export type Http2ServerOptions = {
  readonly limits: ServerLimits;
  readonly connections: Pick<AddressConnections, "countRequest">;
  readonly receiver: RequestReceiver;
  readonly exchange: ExchangeOptions;
};

/**
 * HTTP/2 without TLS (h2c with prior knowledge) by `node:http2`, on the connections that are handed to `serve`. It tracks
 * its sessions, because Node's `close()` waits for them forever.
 */
export class Http2Server {
  readonly #options: Http2ServerOptions;
  readonly #server: NodeServer;
  readonly #sessions = new Map<Http2Session, Connection>();

  constructor(options: Http2ServerOptions) {
    this.#options = options;
    const { limits } = options;
    this.#server = createServer({
      settings: { maxConcurrentStreams: limits.requestsAtATimeMax, maxHeaderListSize: limits.headerBytesMax },
      // HTTP/2 Rapid Reset (CVE-2023-44487): a stream that the client resets has still cost a request. Resetting one full
      // window of streams twice is allowed; above the sustained rate Node closes the session with GOAWAY.
      streamResetBurst: 2 * limits.requestsAtATimeMax,
      streamResetRate: limits.requestsAtATimeMax / 4,
    });
    const receive = (request: Http2ServerRequest, response: Http2ServerResponse) => this.#receive(request, response);
    this.#server.on("request", receive).on("checkContinue", receive);
  }

  /** Serves a paused connection whose first bytes are in its buffer. */
  serve(connection: Connection): void {
    const { socket } = connection;
    // The port's server keeps half-open sockets for HTTP/1.1. A session of HTTP/2 would then outlive its client.
    socket.allowHalfOpen = false;
    // Node creates the session before `emit` returns, so this one belongs to this socket.
    this.#server.once("session", (session) => this.#track(session, connection));
    this.#server.emit("connection", socket);
  }

  /** Graceful shutdown: sends GOAWAY, so that each session ends with its last stream. */
  drain(): void {
    for (const session of this.#sessions.keys()) {
      session.close();
    }
  }

  #receive(request: Http2ServerRequest, response: Http2ServerResponse): void {
    const { receiver, exchange } = this.#options;
    const { session } = request.stream;
    const connection = session === undefined ? undefined : this.#sessions.get(session);
    // Without a session, or with one that is closed, the stream has ended too.
    if (connection !== undefined) {
      receiver.receive(new Exchange({ request, response, connection }, exchange));
    }
  }

  /**
   * Counts the streams of a session. Closes it when it has had no stream for too long, which Node never does: it becomes
   * idle when its last stream closes.
   */
  #track(session: ServerHttp2Session, connection: Connection): void {
    const { connections, limits } = this.#options;
    const { headersMs, idleMs, lingerMs } = limits;
    this.#sessions.set(session, connection);
    closeWhenOld(session, connection.socket, limits.connectionAgeMs);
    const closeAfter = (ms: number) =>
      setTimeout(() => {
        session.close();
        // A stream without complete headers is open for Node and keeps the closed session; for us it is no request yet.
        timer = setTimeout(() => session.destroy(), lingerMs);
      }, ms);
    let timer = closeAfter(headersMs);
    let openStreams = 0;
    const onStreamClose = () => {
      openStreams -= 1;
      if (openStreams === 0 && !session.destroyed) {
        timer = closeAfter(idleMs);
      }
    };
    session.on("stream", (stream) => {
      connections.countRequest(connection);
      openStreams += 1;
      clearTimeout(timer);
      stream.once("close", onStreamClose);
    });
    session.once("close", () => {
      clearTimeout(timer);
      this.#sessions.delete(session);
      // Otherwise a client that does not close its side keeps the socket open.
      connection.socket.destroySoon();
    });
  }
}

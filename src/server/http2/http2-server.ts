import { createServer, type Http2Server as NodeServer, type ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { ServerLimits } from "../limits/server-limits.ts";
import type { ReceiveRequest } from "../requests/http-exchange.ts";

export type Http2ServerOptions = {
  readonly limits: ServerLimits;
  readonly receive: ReceiveRequest;
  /** Called with the connection of each request that starts. */
  readonly onRequest: (socket: Socket) => void;
};

/**
 * HTTP/2 without TLS (h2c with prior knowledge) by `node:http2`, on the connections that are handed to `serve`. It tracks
 * its sessions, because Node's `close()` waits for them forever.
 */
export class Http2Server {
  readonly #options: Http2ServerOptions;
  readonly #server: NodeServer;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(options: Http2ServerOptions) {
    this.#options = options;
    const { limits, receive } = options;
    this.#server = createServer({
      settings: { maxConcurrentStreams: limits.requestsAtATimeMax, maxHeaderListSize: limits.headerBytesMax },
      // HTTP/2 Rapid Reset (CVE-2023-44487): a stream that the client resets has still cost a request. Resetting one full
      // window of streams twice is allowed; above the sustained rate Node closes the session with GOAWAY.
      streamResetBurst: 2 * limits.requestsAtATimeMax,
      streamResetRate: limits.requestsAtATimeMax / 4,
    });
    this.#server
      .on("request", (request, response) => receive(request, response))
      .on("checkContinue", (request, response) => receive(request, response));
  }

  /** Serves a paused connection whose first bytes are in its buffer. */
  serve(socket: Socket): void {
    // The port's server keeps half-open sockets for HTTP/1.1. A session of HTTP/2 would then outlive its client.
    socket.allowHalfOpen = false;
    // Node creates the session before `emit` returns, so this one belongs to this socket.
    this.#server.once("session", (session) => this.#track(session, socket));
    this.#server.emit("connection", socket);
  }

  /** Graceful shutdown: sends GOAWAY, so that each session ends with its last stream. */
  drain(): void {
    for (const session of this.#sessions) {
      session.close();
    }
  }

  #track(session: ServerHttp2Session, socket: Socket): void {
    this.#sessions.add(session);
    session.on("stream", () => this.#options.onRequest(socket));
    const stopTimer = this.#closeWhenIdle(session);
    session.once("close", () => {
      stopTimer();
      this.#sessions.delete(session);
      // Otherwise a client that does not close its side keeps the socket open.
      socket.destroySoon();
    });
  }

  /** Closes a session that has had no stream for too long, which Node never does. Returns a function that stops the timer. */
  #closeWhenIdle(session: ServerHttp2Session): () => void {
    const { headersMs, idleMs, lingerMs } = this.#options.limits;
    const closeAfter = (ms: number) =>
      setTimeout(() => {
        session.close();
        // A stream without complete headers is open for Node and keeps the closed session; for us it is no request yet.
        timer = setTimeout(() => session.destroy(), lingerMs);
      }, ms);
    let timer = closeAfter(headersMs);
    let openStreams = 0;
    session.on("stream", (stream) => {
      openStreams += 1;
      clearTimeout(timer);
      stream.once("close", () => {
        openStreams -= 1;
        if (openStreams === 0 && !session.destroyed) {
          timer = closeAfter(idleMs);
        }
      });
    });
    return () => clearTimeout(timer);
  }
}

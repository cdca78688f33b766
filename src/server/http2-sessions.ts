import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { Held } from "./held.ts";
import type { ServerLimits } from "./limits.ts";
import type { ReadTurns } from "./read-turns.ts";

type SessionLimits = Pick<
  ServerLimits,
  "requestsAtATimeMax" | "requestsPerAddressMax" | "requestsAtATimeMin" | "headersMs" | "idleMs" | "lingerMs"
>;

/**
 * The connections of HTTP/2: how many requests each may have at a time, and when one that has none is ended.
 *
 * All requests of a turn of the event loop are read before any other work is done, so the connections of an address share
 * a number of them: each has as many as are left of that, or a few where none is left. A client hears of it as
 * SETTINGS_MAX_CONCURRENT_STREAMS; nghttp2 refuses what is sent beyond it (REFUSED_STREAM, RFC 9113 8.7) unread.
 */
export class Http2Sessions {
  readonly #limits: SessionLimits;
  readonly #reads: ReadTurns;
  readonly #open = new Set<ServerHttp2Session>();
  /** How many requests at a time the connections of each address may have. */
  readonly #granted = new Held<string>();

  constructor({ limits, reads }: { readonly limits: SessionLimits; readonly reads: ReadTurns }) {
    this.#limits = limits;
    this.#reads = reads;
  }

  begin(session: ServerHttp2Session, socket: Socket, address: string): void {
    this.#open.add(session);
    const granted = this.#grant(session, address);
    session.on("stream", () => this.#reads.count(socket));
    const stopWatch = this.#endWhenIdle(session);
    session.once("close", () => {
      stopWatch();
      this.#granted.add(address, -granted);
      this.#open.delete(session);
      // Otherwise a client that does not close its side keeps the socket.
      socket.destroySoon();
    });
  }

  /** Lets what is under way end, and ends each with its last request. */
  endAll(): void {
    for (const session of this.#open) session.close();
  }

  #grant(session: ServerHttp2Session, address: string): number {
    const { requestsAtATimeMax, requestsPerAddressMax, requestsAtATimeMin } = this.#limits;
    const left = requestsPerAddressMax - this.#granted.by(address);
    const granted = Math.min(requestsAtATimeMax, Math.max(requestsAtATimeMin, left));
    this.#granted.add(address, granted);
    if (granted < requestsAtATimeMax) session.settings({ maxConcurrentStreams: granted });
    return granted;
  }

  /** Ends a session that has no request for too long, which Node never does. Answers what stops to look. */
  #endWhenIdle(session: ServerHttp2Session): () => void {
    const { headersMs, idleMs, lingerMs } = this.#limits;
    const closeAfter = (ms: number) =>
      setTimeout(() => {
        session.close();
        // To Node a stream whose headers have not ended is open, and keeps a closed session; to us it is nothing yet.
        timer = setTimeout(() => session.destroy(), lingerMs);
      }, ms);
    let timer = closeAfter(headersMs);
    let open = 0;
    session.on("stream", (stream) => {
      open += 1;
      clearTimeout(timer);
      stream.once("close", () => {
        open -= 1;
        if (open === 0 && !session.destroyed) timer = closeAfter(idleMs);
      });
    });
    return () => clearTimeout(timer);
  }
}

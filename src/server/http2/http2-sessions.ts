import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { ReadTurns } from "../connections/read-throttle.ts";
import type { ServerLimits } from "../limits/server-limits.ts";

type SessionLimits = Pick<ServerLimits, "headersMs" | "idleMs" | "lingerMs">;

/** The open sessions of HTTP/2. A session that has no request for too long is ended. */
export class Http2Sessions {
  readonly #limits: SessionLimits;
  readonly #reads: ReadTurns;
  readonly #open = new Set<ServerHttp2Session>();

  constructor({ limits, reads }: { readonly limits: SessionLimits; readonly reads: ReadTurns }) {
    this.#limits = limits;
    this.#reads = reads;
  }

  begin(session: ServerHttp2Session, socket: Socket): void {
    this.#open.add(session);
    session.on("stream", () => this.#reads.count(socket));
    const stopWatch = this.#endWhenIdle(session);
    session.once("close", () => {
      stopWatch();
      this.#open.delete(session);
      // Otherwise a client that does not close its side keeps the socket.
      socket.destroySoon();
    });
  }

  /** Lets what is under way end, and ends each with its last request. */
  endAll(): void {
    for (const session of this.#open) session.close();
  }

  /** Ends a session that has no request for too long, which Node never does. Returns a function that stops its timer. */
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

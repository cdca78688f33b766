import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";

/** By which share ages differ, so that the connections of one moment do not come back in one moment. */
const jitter = 0.2;

/** How long a client may take to answer that it has read the first GOAWAY. */
const answerMs = 5_000;

/** GOAWAY (type 7) with the highest stream id, 2^31-1, and without an error. */
const shutdownNotice = Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

/**
 * Ends a session gracefully when its connection is old (MAX_CONNECTION_AGE of gRPC): a client that makes all calls on one
 * connection would otherwise stay at one worker for good.
 *
 * @param ageMs 0: at no age
 */
export function closeWhenOld(session: ServerHttp2Session, socket: Socket, ageMs: number): void {
  if (ageMs === 0) {
    return;
  }
  const end = () => {
    // RFC 9113, 6.8: the first GOAWAY refuses no stream, so that those on their way are served; when the client has read
    // it, the second one does. Node has no method for the first one, whose effect is on the client alone.
    socket.write(shutdownNotice);
    const close = () => session.destroyed || session.close();
    timer = setTimeout(close, answerMs);
    session.ping(close);
  };
  let timer = setTimeout(end, ageMs * (1 + jitter * (2 * Math.random() - 1)));
  session.once("close", () => clearTimeout(timer));
}

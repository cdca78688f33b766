import type { Socket } from "node:net";

export type HttpVersion = "http1" | "http2";

export type DetectOptions = {
  readonly timeoutMs: number;
  /** How many bytes of a connection are buffered while it waits to start. */
  readonly bytesMax: number;
  /** Settles when a connection whose version is known may start; undefined: at once. */
  readonly admission: () => Promise<void> | undefined;
  /** @param bytes everything that was received; it has been pushed back into the socket as one chunk */
  readonly onDetected: (version: HttpVersion, bytes: Buffer) => void;
};

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/**
 * Detects HTTP/2 by its connection preface (RFC 9113, 3.4); anything else is HTTP/1.1. When `onDetected` is called, the
 * bytes are back in the socket, and the socket is paused.
 *
 * A connection that sends too little before the timeout is destroyed (slow-loris), and one that ends before as well.
 */
export function detectHttpVersion(socket: Socket, { timeoutMs, bytesMax, admission, onDetected }: DetectOptions): void {
  let received: Buffer = Buffer.alloc(0);
  let isDetecting = true;
  let version: HttpVersion | undefined;

  const destroy = () => socket.destroy();
  const read = (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    if (version !== undefined) {
      limitBuffer();
      return;
    }
    const length = Math.min(received.length, preface.length);
    const isPreface = received.subarray(0, length).equals(preface.subarray(0, length));
    if (isPreface && length < preface.length) {
      return;
    }
    const detected: HttpVersion = isPreface ? "http2" : "http1";
    version = detected;
    clearTimeout(timer);
    const waiting = admission();
    if (waiting === undefined) {
      finish(detected);
      return;
    }
    void waiting.then(() => isDetecting && finish(detected));
    limitBuffer();
  };
  const limitBuffer = () => {
    if (received.length > bytesMax) {
      destroy();
    }
  };
  const finish = (detected: HttpVersion) => {
    removeListeners();
    socket.pause();
    socket.unshift(received);
    onDetected(detected, received);
  };
  const removeListeners = () => {
    isDetecting = false;
    clearTimeout(timer);
    socket.off("data", read).off("end", destroy).off("close", removeListeners);
  };

  // One timer for all the bytes: a client that sends them one by one would pass a limit on silence. The immediate lets
  // the event loop read first: in a busy process the timer fires while bytes wait unread in the kernel.
  const timer = setTimeout(() => setImmediate(() => isDetecting && version === undefined && destroy()), timeoutMs);
  socket.on("data", read).once("end", destroy).once("close", removeListeners);
}

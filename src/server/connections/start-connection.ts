import type { ServerLimits } from "../limits/server-limits.ts";
import type { Connection } from "./address-connections.ts";
import type { NewConnectionQueue } from "./new-connection-queue.ts";

/** Serves paused connections whose first bytes are in their buffers. */
export type ConnectionServer = { serve(connection: Connection): void };

/** Holds back the connections of addresses that exceeded their limit of refusals. */
export type Penalties = {
  /** Whether any address may have to wait. */
  readonly isActive: boolean;
  /** Settles when an address may start a connection; undefined: at once. */
  penaltyOf(address: string): Promise<void> | undefined;
};

export type StartOptions = {
  readonly limits: Pick<ServerLimits, "firstBytesMs" | "headerBytesMax">;
  readonly queue: NewConnectionQueue;
  readonly penalties: Penalties;
  readonly http1: ConnectionServer;
  readonly http2: ConnectionServer;
};

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const frameHeaderBytes = 9;
const headersType = 1;

/** The end of a request's header section with the method of another request behind it (RFC 9112, 9.3.2). */
const pipelinedRequest = /\r\n\r\n[A-Z]+ /g;

/**
 * Detects the HTTP version of a new connection, and starts it when the queue lets it. A connection of an address that
 * exceeded its limit of refusals waits once more, before its version is detected or behind that.
 */
export function startConnection(connection: Connection, options: StartOptions): void {
  const { penalties } = options;
  const { socket, address } = connection;
  const penalty = penalties.isActive ? penalties.penaltyOf(address) : undefined;
  if (penalty === undefined) {
    new NewConnection(connection, options).detect();
  } else {
    void penalty.then(() => !socket.destroyed && new NewConnection(connection, options, "penalized").detect());
  }
}

/**
 * A connection whose HTTP version is not known yet. HTTP/2 is detected by its connection preface (RFC 9113, 3.4); anything
 * else is HTTP/1.1.
 *
 * A connection that sends too little before the timeout is destroyed (slow-loris), and one that ends before as well.
 */
class NewConnection {
  readonly #connection: Connection;
  readonly #options: StartOptions;
  #received: Buffer = Buffer.alloc(0);
  #isHttp2: boolean | undefined;
  #isDetecting = true;
  #hasWaited: boolean;
  #timer: NodeJS.Timeout | undefined;

  constructor(connection: Connection, options: StartOptions, past?: "penalized") {
    this.#connection = connection;
    this.#options = options;
    this.#hasWaited = past === "penalized";
  }

  detect(): void {
    const { socket } = this.#connection;
    // One timer for all the bytes: a client that sends them one by one would pass a limit on silence. The immediate lets
    // the event loop read first: in a busy process the timer fires while bytes wait unread in the kernel.
    this.#timer = setTimeout(() => setImmediate(() => this.#cutSilent()), this.#options.limits.firstBytesMs);
    socket.on("data", this.#read).once("end", this.#destroy).once("close", this.#stopReading);
  }

  readonly #read = (chunk: Buffer): void => {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const { limits, penalties } = this.#options;
    if (this.#isHttp2 === undefined) {
      const length = Math.min(this.#received.length, preface.length);
      const isPreface = this.#received.compare(preface, 0, length, 0, length) === 0;
      if (isPreface && length < preface.length) {
        return;
      }
      this.#isHttp2 = isPreface;
      clearTimeout(this.#timer);
      // Of many connections that arrive together, the first ones may exceed the limit while the others are being detected.
      const isHeld = penalties.isActive && !this.#hasWaited;
      const penalty = isHeld ? penalties.penaltyOf(this.#connection.address) : undefined;
      if (penalty === undefined) {
        void this.#start();
        return;
      }
      void penalty.then(() => (this.#isDetecting ? this.#start() : undefined));
    }
    if (this.#received.length > limits.headerBytesMax) {
      this.#destroy();
    }
  };

  /** Pauses the socket with all that was received in its buffer as one chunk, and starts it in its turn. */
  async #start(): Promise<void> {
    const { socket, address } = this.#connection;
    this.#stopReading();
    socket.pause();
    socket.unshift(this.#received);
    const requests = this.#isHttp2 === true ? countStreams(this.#received) : countPipelined(this.#received);
    const turn = this.#options.queue.take(address, requests);
    if (turn !== undefined) {
      await turn;
      if (socket.destroyed) {
        return;
      }
    }
    // Node hands the chunks that a paused socket buffers to an HTTP/2 session one by one, and the process crashes if an
    // earlier chunk has ended the session (`Http2Session`, "emulate receiving it"). Only if there are several: `read()`
    // makes the socket flow again, and in the middle of a read that is undone at once.
    if (socket.readableLength > this.#received.length) {
      socket.unshift(socket.read(socket.readableLength));
    }
    const version = this.#isHttp2 === true ? "http2" : "http1";
    this.#connection.version = version;
    // It was too late, and the shutdown has answered it.
    if (socket.writableEnded) {
      socket.resume();
    } else {
      this.#options[version].serve(this.#connection);
    }
  }

  #cutSilent(): void {
    if (this.#isDetecting && this.#isHttp2 === undefined) {
      this.#destroy();
    }
  }

  readonly #destroy = (): void => {
    this.#connection.socket.destroy();
  };

  readonly #stopReading = (): void => {
    this.#isDetecting = false;
    clearTimeout(this.#timer);
    const { socket } = this.#connection;
    socket.off("data", this.#read).off("end", this.#destroy).off("close", this.#stopReading);
  };
}

/** Counts the requests in the first bytes of an HTTP/1.1 connection. Node reads all of them in one iteration of the event loop. */
function countPipelined(bytes: Buffer): number {
  return 1 + (bytes.toString("latin1").match(pipelinedRequest)?.length ?? 0);
}

/** The same over HTTP/2, at least one: each HEADERS frame is one (RFC 9113, 4.1). */
function countStreams(bytes: Buffer): number {
  let count = 0;
  for (let at = preface.length; at + frameHeaderBytes <= bytes.length; ) {
    if (bytes[at + 3] === headersType) {
      count += 1;
    }
    at += frameHeaderBytes + bytes.readUIntBE(at, 3);
  }
  return Math.max(1, count);
}

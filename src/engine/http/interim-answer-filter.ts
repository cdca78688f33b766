import type { Socket } from "node:net";

/**
 * Takes interim answers (1xx) out of what a socket reads. A client has to understand those that it did not ask for
 * (RFC 9110, section 15.2), but undici closes the connection on `100 Continue`. `101 Switching Protocols` ends HTTP, and
 * passes.
 */
export class InterimFilter {
  readonly #read: Socket["read"];
  /** Whether what comes next begins an answer. */
  #isAtHead = false;
  /** What may be the beginning of an interim answer: no more than its bound, and empty but for a moment. */
  #held: Buffer = Buffer.alloc(0);
  #skipped = 0;

  constructor(socket: Socket) {
    this.#read = socket.read.bind(socket);
    socket.read = () => this.#next();
  }

  /** A request goes out: the bytes that come next are the head of its answer. */
  expectHead(): void {
    this.#isAtHead = true;
    this.#skipped = 0;
  }

  #next(): Buffer | null {
    for (;;) {
      // A socket without an encoding reads bytes.
      const chunk = this.#read() as Buffer | null;
      if (chunk === null || !this.#isAtHead) return chunk;
      const rest = this.#strip(this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]));
      if (rest !== undefined) {
        this.#isAtHead = false;
        this.#held = Buffer.alloc(0);
        return rest;
      }
    }
  }

  /** What is left behind all that is skipped; undefined where that cannot be told yet. */
  #strip(bytes: Buffer): Buffer | undefined {
    let rest = bytes;
    while (this.#skipped < skippedMax) {
      const start = rest.toString("latin1", 0, startChars);
      if (!isInterimStart(start)) return rest;
      const end = start.length < startChars ? -1 : rest.indexOf("\r\n\r\n");
      if (end < 0) {
        if (rest.length > headBytesMax) return rest;
        this.#held = Buffer.from(rest);
        return undefined;
      }
      this.#skipped += 1;
      rest = rest.subarray(end + 4);
      if (rest.length === 0) {
        this.#held = Buffer.alloc(0);
        return undefined;
      }
    }
    return rest;
  }
}

const startChars = "HTTP/1.1 100".length;

/** Whether a text is the beginning of an interim answer, or as far as it goes may become one. */
function isInterimStart(text: string): boolean {
  const example = `${text}${"HTTP/1.1 100".slice(text.length)}`;
  return /^HTTP\/1\.[01] 1(?!01)\d\d/.test(example);
}

/** What is passed on as it is, and so ends the call: longer heads, and more of them for one request. */
const headBytesMax = 16 * 1024;
const skippedMax = 16;

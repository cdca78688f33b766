import type { Socket } from "node:net";

/**
 * Removes interim responses (1xx) from the bytes that a socket reads. A client must accept those that it did not ask for (RFC
 * 9110, section 15.2), but undici closes the connection on `100 Continue`. `101 Switching Protocols` is not removed, since
 * HTTP ends with it.
 */
export class InterimAnswerFilter {
  readonly #read: Socket["read"];
  /** Whether the next bytes are the head of an answer. */
  #isAtHead = false;
  /** Bytes that may be the beginning of an interim response, until the rest has come. */
  #buffered: Buffer = Buffer.alloc(0);
  #skipped = 0;

  constructor(socket: Socket) {
    this.#read = socket.read.bind(socket);
    socket.read = () => this.#next();
  }

  /** Notes that a request is sent, so that the next bytes are the head of its answer. */
  expectHead(): void {
    this.#isAtHead = true;
    this.#skipped = 0;
  }

  #next(): Buffer | null {
    for (;;) {
      // A socket without an encoding reads bytes.
      const chunk = this.#read() as Buffer | null;
      if (chunk === null || !this.#isAtHead) {
        return chunk;
      }
      const rest = this.#strip(this.#buffered.length === 0 ? chunk : Buffer.concat([this.#buffered, chunk]));
      if (rest !== undefined) {
        this.#isAtHead = false;
        this.#buffered = Buffer.alloc(0);
        return rest;
      }
    }
  }

  /** Gives the bytes after all interim responses, or undefined where more bytes are needed to tell. */
  #strip(bytes: Buffer): Buffer | undefined {
    let rest = bytes;
    while (this.#skipped < skippedMax) {
      if (rest.length > statusStart && rest[statusStart] !== digitOne) {
        return rest;
      }
      const start = rest.toString("latin1", 0, startChars);
      if (!isInterimStart(start)) {
        return rest;
      }
      const end = start.length < startChars ? -1 : rest.indexOf("\r\n\r\n");
      if (end < 0) {
        if (rest.length > headBytesMax) {
          return rest;
        }
        this.#buffered = Buffer.from(rest);
        return undefined;
      }
      this.#skipped += 1;
      rest = rest.subarray(end + 4);
      if (rest.length === 0) {
        this.#buffered = Buffer.alloc(0);
        return undefined;
      }
    }
    return rest;
  }
}

const startChars = "HTTP/1.1 100".length;
const statusStart = "HTTP/1.1 ".length;
const digitOne = 0x31;

/** Whether a text is the beginning of an interim response, or may become one with more characters. */
function isInterimStart(text: string): boolean {
  const example = `${text}${"HTTP/1.1 100".slice(text.length)}`;
  return /^HTTP\/1\.[01] 1(?!01)\d\d/.test(example);
}

/** Longer interim heads, and more of them for one request, are not removed. undici then ends the call. */
const headBytesMax = 16 * 1024;
const skippedMax = 16;

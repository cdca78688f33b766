import type { Writable } from "node:stream";

/** What may wait for a reader of the log that hangs. Lines beyond it are left out and counted. */
const waitingBytesMax = 1024 ** 2;

/**
 * Writes lines to a stream and never waits for its reader: Node writes to a pipe without blocking, and to a file or a terminal
 * at once. A line that finds too much waiting is left out. Where the reader is gone, the lines go nowhere.
 */
export class LogSink {
  readonly #stream: Writable;
  #leftOut = 0;

  constructor(stream: Writable) {
    this.#stream = stream;
    // Without a listener the process would end when its reader does (EPIPE).
    stream.on("error", () => undefined);
  }

  /** Calls back with the number of lines that were left out, when the reader has taken what waited. */
  onRelief(report: (lines: number) => void): void {
    this.#stream.on("drain", () => {
      const lines = this.#leftOut;
      this.#leftOut = 0;
      if (lines > 0) {
        report(lines);
      }
    });
  }

  write(line: string): void {
    if (this.#stream.writableLength > waitingBytesMax) {
      this.#leftOut += 1;
    } else {
      this.#stream.write(line);
    }
  }
}

import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { turnOfTenant } from "../../domain/account.ts";
import { FairQueue } from "../../domain/collections/fair-queue.ts";
import type { Principal } from "../../domain/principal.ts";

/** Smaller bodies take too little time to be queued. */
export const largeBytesMin = 64 * 1024;

/** Concurrent decompressions: each may reach the maximum size of a message before it is counted. */
const decompressionsMax = 4;

const decompress = promisify(gunzip);

/**
 * Queues the work on large bodies, round-robin over organisations and their environments: one is parsed in each iteration
 * of the event loop, and a few are decompressed at a time. A caller that sends many delays only itself.
 */
export class LargeBodyQueue {
  readonly #parsing = new FairQueue<() => void>();
  readonly #decompressing = new FairQueue<() => void>();
  #isScheduled = false;
  #decompressions = 0;

  /** Settles when a large body may be parsed. */
  async waitToParse(caller: Principal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#parsing.push(pathOf(caller), resolve);
    this.#scheduleNext();
    await promise;
  }

  /** Throws RangeError if the result exceeds `bytesMax` (a decompression bomb), Error if the data is not gzip. */
  async decompress(bytes: Uint8Array, bytesMax: number, caller: Principal | undefined): Promise<Uint8Array> {
    if (this.#decompressions >= decompressionsMax) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#decompressing.push(pathOf(caller), resolve);
      // The decompression that ends next hands its slot over.
      await promise;
    } else {
      this.#decompressions += 1;
    }
    try {
      return await decompress(bytes, { maxOutputLength: bytesMax });
    } finally {
      const next = this.#decompressing.shift();
      if (next === undefined) {
        this.#decompressions -= 1;
      } else {
        next();
      }
    }
  }

  #scheduleNext(): void {
    if (this.#isScheduled) {
      return;
    }
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#parsing.shift()?.();
      if (this.#parsing.size > 0) {
        this.#scheduleNext();
      }
    });
  }
}

function pathOf(caller: Principal | undefined): readonly string[] {
  return caller === undefined ? ["", ""] : turnOfTenant(caller);
}

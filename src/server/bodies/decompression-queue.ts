import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { turnOfTenant } from "../../domain/account.ts";
import { FairQueue } from "../../domain/collections/fair-queue.ts";
import type { Principal } from "../../domain/principal.ts";

/** Concurrent decompressions: each may reach the maximum size of a message before it is counted. */
const concurrentMax = 4;

const decompress = promisify(gunzip);

/**
 * Decompresses a few bodies at a time, round-robin over organisations and their environments: a caller that sends many
 * delays only itself.
 */
export class DecompressionQueue {
  readonly #waiting = new FairQueue<() => void>();
  #count = 0;

  /** Throws RangeError if the result exceeds `bytesMax` (a decompression bomb), Error if the data is not gzip. */
  async decompress(bytes: Uint8Array, bytesMax: number, caller: Principal | undefined): Promise<Uint8Array> {
    if (this.#count >= concurrentMax) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(caller === undefined ? ["", ""] : turnOfTenant(caller), resolve);
      // The decompression that ends next hands its slot over.
      await promise;
    } else {
      this.#count += 1;
    }
    try {
      return await decompress(bytes, { maxOutputLength: bytesMax });
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#count -= 1;
      } else {
        next();
      }
    }
  }
}

import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { FairQueue } from "../../domain/fair-queue.ts";
import type { Principal } from "../../domain/principal.ts";

/** A body that is shorter takes no time worth waiting for. */
const largeBytesMin = 64 * 1024;

/** Messages that are unpacked at a time: each may become as large as a message may be before it is counted. */
const unpackingMax = 4;

const decompress = promisify(gunzip);

/**
 * When large bodies are read through: one a turn of the event loop, and unpacked before it a few at a time, the
 * organisations and their environments in turn. Whoever sends many waits behind itself.
 */
export class BodyTurns {
  readonly #reading = new FairQueue<() => void>();
  readonly #unpacking = new FairQueue<() => void>();
  #isTurnNext = false;
  #unpackingNow = 0;

  /** Settles when a body of this length may be parsed, before anything else is. */
  async parse(bytes: number, caller: Principal | undefined): Promise<void> {
    if (bytes < largeBytesMin) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#reading.push(pathOf(caller), resolve);
    this.#nextTurn();
    await promise;
  }

  /** Unpacks with gzip. Throws RangeError beyond the bound, Error for what is not gzip. */
  async unpack(bytes: Uint8Array, bytesMax: number, caller: Principal | undefined): Promise<Uint8Array> {
    if (this.#unpackingNow >= unpackingMax) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#unpacking.push(pathOf(caller), resolve);
      // Whoever ends hands its place over.
      await promise;
    } else this.#unpackingNow += 1;
    try {
      return await decompress(bytes, { maxOutputLength: bytesMax });
    } finally {
      const next = this.#unpacking.shift();
      if (next === undefined) this.#unpackingNow -= 1;
      else next();
    }
  }

  #nextTurn(): void {
    if (this.#isTurnNext) return;
    this.#isTurnNext = true;
    setImmediate(() => {
      this.#isTurnNext = false;
      this.#reading.shift()?.();
      if (this.#reading.size > 0) this.#nextTurn();
    });
  }
}

function pathOf(caller: Principal | undefined): readonly string[] {
  return caller === undefined ? ["", ""] : [caller.organizationId, caller.environmentId];
}

/** The largest block that chunks are copied into. */
const blockBytesMax = 64 * 1024;

/**
 * Collects the chunks of a body by copying them into blocks. A received chunk is often a view of a much larger buffer,
 * and the object alone takes a hundred bytes: a body that is sent byte by byte would use a hundred times its length.
 */
export class ChunkBuffer {
  readonly #blocks: Buffer[] = [];
  /** Bytes used of the last block. */
  #used = 0;
  #bytes = 0;

  add(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length; ) {
      const block = this.#freeBlock(chunk.length - from);
      const copied = Math.min(chunk.length - from, block.length - this.#used);
      block.set(chunk.subarray(from, from + copied), this.#used);
      this.#used += copied;
      from += copied;
    }
    this.#bytes += chunk.length;
  }

  concat(): Buffer {
    const [first] = this.#blocks;
    if (this.#blocks.length === 1 && first !== undefined) {
      return first.subarray(0, this.#used);
    }
    return Buffer.concat(this.#blocks, this.#bytes);
  }

  /** The last block if it has room, else a new one: as large as the first chunk, later as all chunks before it together. */
  #freeBlock(bytes: number): Buffer {
    const last = this.#blocks.at(-1);
    if (last !== undefined && this.#used < last.length) {
      return last;
    }
    const block = Buffer.allocUnsafe(Math.min(blockBytesMax, Math.max(bytes, this.#bytes)));
    this.#blocks.push(block);
    this.#used = 0;
    return block;
  }
}

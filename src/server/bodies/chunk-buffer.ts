/** The largest block that pieces are copied into. */
const blockBytesMax = 64 * 1024;

/**
 * Gathers the pieces of a body in blocks of its own. A piece as it arrives is often a view of a much larger buffer, and
 * is an object of a hundred bytes and more: a body that comes byte by byte would cost a hundred times its length.
 */
export class Pieces {
  readonly #blocks: Buffer[] = [];
  #used = 0;
  #bytes = 0;

  add(piece: Uint8Array): void {
    for (let from = 0; from < piece.length; ) {
      const block = this.#block(piece.length - from);
      const copied = Math.min(piece.length - from, block.length - this.#used);
      block.set(piece.subarray(from, from + copied), this.#used);
      this.#used += copied;
      from += copied;
    }
    this.#bytes += piece.length;
  }

  join(): Buffer {
    const [first] = this.#blocks;
    if (this.#blocks.length === 1 && first !== undefined) return first.subarray(0, this.#used);
    return Buffer.concat(this.#blocks, this.#bytes);
  }

  /** The last block where it has room, or a new one: as large as the first piece, then twice what there is. */
  #block(bytes: number): Buffer {
    const last = this.#blocks.at(-1);
    if (last !== undefined && this.#used < last.length) return last;
    const block = Buffer.allocUnsafe(Math.min(blockBytesMax, Math.max(bytes, this.#bytes)));
    this.#blocks.push(block);
    this.#used = 0;
    return block;
  }
}

/**
 * The memory of a WebAssembly engine at a moment when none of its functions runs, to which it can be set back. All that the
 * engine knows is in its memory, so afterwards it is as it was. A few hundred kilobytes are copied, which takes a fraction of
 * what a new engine takes.
 */
export class MemoryImage {
  readonly #memory: Memory;
  readonly #pieces: readonly { readonly offset: number; readonly bytes: Uint8Array }[];

  /** @param stackBytesMin the engine's stack is at least this long. It is empty now, and is left out. */
  constructor(memory: Memory, stackBytesMin: number) {
    this.#memory = memory;
    const all = new Uint8Array(memory.buffer);
    const used = all.subarray(0, usedBytes(all));
    const { start, end } = longestBlank(used);
    this.#pieces =
      end - start < stackBytesMin
        ? [{ offset: 0, bytes: used.slice() }]
        : [
            { offset: 0, bytes: used.slice(0, start) },
            { offset: end, bytes: used.slice(end) },
          ];
  }

  /** What lies behind the image was free, and holds what its last user left: an allocator expects nothing there. */
  restore(): void {
    // A memory that grows gets another buffer.
    const all = new Uint8Array(this.#memory.buffer);
    for (const { offset, bytes } of this.#pieces) {
      all.set(bytes, offset);
    }
  }
}

type Memory = { readonly buffer: ArrayBuffer };

const blockBytes = 4_096;
const blank = Buffer.alloc(blockBytes);

/** The end of the last block that is not blank. */
function usedBytes(all: Uint8Array): number {
  let end = all.length;
  while (end > 0 && isBlank(all, end - blockBytes)) {
    end -= blockBytes;
  }
  return end;
}

function longestBlank(used: Uint8Array): { readonly start: number; readonly end: number } {
  let longest = { start: 0, end: 0 };
  let start = 0;
  for (let offset = 0; offset < used.length; offset += blockBytes) {
    const end = offset + blockBytes;
    if (!isBlank(used, offset)) {
      start = end;
    } else if (end - start > longest.end - longest.start) {
      longest = { start, end };
    }
  }
  return longest;
}

function isBlank(all: Uint8Array, offset: number): boolean {
  return blank.equals(all.subarray(offset, offset + blockBytes));
}

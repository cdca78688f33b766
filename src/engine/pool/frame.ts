// The protocol between the pool and its child processes: length-prefixed frames of a JSON head and of raw texts.
//
//   length of the rest · length of the head · head · texts, in UTF-8       (lengths: 4 bytes, big endian)
//
// The head holds the size of each text. TextBudget are not escaped into JSON once more, so this is faster than Node's IPC channel.
// Frames have a maximum length, because the pool does not trust what a child sends.

export type Frame = { readonly head: object; readonly texts: readonly string[] };

const lengthBytes = 4;

export function encodeFrame({ head, texts }: Frame): Buffer {
  const sizes = texts.map((text) => Buffer.byteLength(text));
  const headText = JSON.stringify({ head, sizes });
  const headBytes = Buffer.byteLength(headText);
  const rest = sizes.reduce((sum, size) => sum + size, lengthBytes + headBytes);
  const frame = Buffer.allocUnsafe(lengthBytes + rest);
  frame.writeUInt32BE(rest);
  frame.writeUInt32BE(headBytes, lengthBytes);
  let offset = 2 * lengthBytes;
  offset += frame.write(headText, offset);
  for (const text of texts) {
    offset += frame.write(text, offset);
  }
  return frame;
}

/** Reassembles frames from the chunks of a stream. Throws where a frame is longer than `bytesMax` or malformed. */
export class FrameReader {
  readonly #bytesMax: number;
  #chunks: Buffer[] = [];
  #length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Adds a chunk, and gives the frames that it completes. */
  push(chunk: Buffer): readonly Frame[] {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const frames: Frame[] = [];
    for (let rest = this.#restLength(); rest !== undefined && this.#length >= lengthBytes + rest; ) {
      const all = this.#joined();
      frames.push(decode(all.subarray(lengthBytes, lengthBytes + rest)));
      this.#chunks = [all.subarray(lengthBytes + rest)];
      this.#length -= lengthBytes + rest;
      rest = this.#restLength();
    }
    return frames;
  }

  #restLength(): number | undefined {
    if (this.#length < lengthBytes) {
      return undefined;
    }
    const [first] = this.#chunks;
    const rest = (first !== undefined && first.length >= lengthBytes ? first : this.#joined()).readUInt32BE();
    if (rest > this.#bytesMax) {
      throw new Error(`a frame has ${rest} bytes of at most ${this.#bytesMax}`);
    }
    return rest;
  }

  #joined(): Buffer {
    const [first] = this.#chunks;
    const all = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}

function decode(rest: Buffer): Frame {
  const headBytes = rest.readUInt32BE();
  // `encodeFrame` wrote it on the other side.
  const { head, sizes } = JSON.parse(rest.toString("utf8", lengthBytes, lengthBytes + headBytes)) as {
    head: object;
    sizes: readonly number[];
  };
  let offset = lengthBytes + headBytes;
  const texts = sizes.map((size) => {
    offset += size;
    return rest.toString("utf8", offset - size, offset);
  });
  return { head, texts };
}

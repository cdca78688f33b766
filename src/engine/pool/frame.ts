// How a process and its children speak: frames of a head, which is JSON, and of texts, which are not escaped once more.
//
//   length of the rest · length of the head · head · texts, in UTF-8       (lengths: 4 bytes, big endian)
//
// The head says how many bytes each text has. It is quicker than Node's own channel, which escapes texts in JSON, and it has
// a bound: what a child sends is not trusted.

/** What goes over the channel at once. */
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
  let at = 2 * lengthBytes;
  at += frame.write(headText, at);
  for (const text of texts) at += frame.write(text, at);
  return frame;
}

/** Puts frames together from the chunks of a stream. Throws where one is longer than `bytesMax`, or is none. */
export class FrameReader {
  readonly #bytesMax: number;
  #chunks: Buffer[] = [];
  #length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The frames that are complete with this chunk. */
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
    if (this.#length < lengthBytes) return undefined;
    const [first] = this.#chunks;
    const rest = (first !== undefined && first.length >= lengthBytes ? first : this.#joined()).readUInt32BE();
    if (rest > this.#bytesMax) throw new Error(`a frame has ${rest} bytes of at most ${this.#bytesMax}`);
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
  // Written by `encodeFrame`, on the other side.
  const { head, sizes } = JSON.parse(rest.toString("utf8", lengthBytes, lengthBytes + headBytes)) as {
    head: object;
    sizes: readonly number[];
  };
  let at = lengthBytes + headBytes;
  const texts = sizes.map((size) => {
    at += size;
    return rest.toString("utf8", at - size, at);
  });
  return { head, texts };
}

import type { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { HttpFailure } from "./http-failure.ts";

/** An answer whose body has not been read. Header names are in lower case. */
export type Reply = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Readable;
};

/** What is left of a reply once its body is read and decoded. */
export type ReadReply = {
  readonly headers: Reply["headers"];
  readonly body: Uint8Array;
};

/**
 * Reads a body up to a limit that counts decoded bytes, so that no small answer can become a large one here. A server
 * that encodes although it was asked not to is understood, one that does so twice is not.
 */
export async function readAnswerBody(reply: Reply, { bytesMax }: { bytesMax: number }): Promise<ReadReply> {
  const { headers, body } = reply;
  const [encoding = "", ...more] = encodingsOf(headers);
  if (more.length > 0) {
    discardBody(reply);
    throw new HttpFailure("CONNECTION_FAILED", "The server encoded its answer more than once. Ask it for plain data.");
  }
  const newDecoder = decoders.get(encoding);
  const sink = new BoundedBytes(bytesMax);
  const collect: Collect = async (source) => {
    for await (const chunk of source) sink.add(chunk);
  };
  if (newDecoder === undefined) {
    await pipeline(body, collect);
    return { headers, body: sink.bytes() };
  }
  await decode(body, newDecoder(), collect);
  const { "content-encoding": _encoding, "content-length": _length, ...rest } = headers;
  return { headers: rest, body: sink.bytes() };
}

type Collect = (source: AsyncIterable<Buffer>) => Promise<void>;

/** Like `pipeline`, but no bytes are an empty body, as after HEAD; a decoder would take them for one cut short. */
async function decode(body: Readable, decoder: Transform, collect: Collect): Promise<void> {
  let isEmpty = false;
  const watch = async function* (source: AsyncIterable<Buffer>) {
    let bytes = 0;
    for await (const chunk of source) {
      bytes += chunk.length;
      yield chunk;
    }
    isEmpty = bytes === 0;
  };
  try {
    await pipeline(body, watch, decoder, collect);
  } catch (error) {
    if (!isEmpty) throw error;
  }
}

/** Lets go of a body that nobody reads. What has not arrived yet closes its connection. */
export function discardBody({ body }: Reply): void {
  // Destroying an unread body makes it emit an error, which is the expected end here.
  body.on("error", () => {}).destroy();
}

function encodingsOf(headers: Reply["headers"]): readonly string[] {
  return [headers["content-encoding"] ?? []]
    .flat()
    .flatMap((value) => value.toLowerCase().split(","))
    .map((value) => value.trim())
    .filter((value) => value !== "" && value !== "identity");
}

/** An encoding that is not here is left to the author, with its header. */
const decoders: ReadonlyMap<string, () => Transform> = new Map<string, () => Transform>([
  ["gzip", createGunzip],
  ["x-gzip", createGunzip],
  ["deflate", createInflate],
  ["br", createBrotliDecompress],
]);

/** Copies chunks into one buffer: kept as they are, a body sent byte by byte would cost a hundred times its size. */
class BoundedBytes {
  readonly #bytesMax: number;
  #buffer = Buffer.allocUnsafeSlow(0);
  #length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > this.#bytesMax) {
      throw new HttpFailure(
        "ANSWER_TOO_LARGE",
        `The answer is larger than ${this.#bytesMax} bytes. Ask for less at a time.`,
        { limit: { name: "answer_bytes", value: this.#bytesMax } },
      );
    }
    if (length > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(Math.max(length, 2 * this.#buffer.length), this.#bytesMax));
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    this.#buffer.set(chunk, this.#length);
    this.#length = length;
  }

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }
}

import { type Decode, decoderOf, isUndecodable } from "./content-coding.ts";
import { HttpFailure } from "./http-failure.ts";

/** An answer whose body has not been read. Header names are in lower case. */
export type Reply = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: ReplyBody;
};

export type ReplyBody = {
  /** Hands over each chunk as it comes, and settles behind the last. What `add` throws ends the answer. */
  read(add: (chunk: Uint8Array) => void): Promise<void>;
  /** Lets go of a body that nobody reads. What has not arrived yet closes its connection. */
  discard(): void;
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
export async function readAnswerBody({ headers, body }: Reply, { bytesMax }: { bytesMax: number }): Promise<ReadReply> {
  const [encoding = "", ...more] = encodingsOf(headers);
  if (more.length > 0) {
    body.discard();
    throw new HttpFailure("ANSWER_UNREADABLE", "The server encoded its answer more than once. Ask it for plain data.");
  }
  if (isUndecodable(encoding)) {
    body.discard();
    const message = `The answer is in the coding "${encoding}", which is not undone. Ask for plain data.`;
    throw new HttpFailure("ANSWER_UNREADABLE", message);
  }
  const decode = decoderOf(encoding);
  const sink = new BoundedBytes(bytesMax, decode === undefined ? 0 : encodingBytesMax);
  await body.read((chunk) => sink.add(chunk));
  const bytes = sink.bytes();
  if (decode === undefined) return { headers, body: bytes };
  const { "content-encoding": _encoding, "content-length": _length, ...rest } = headers;
  // No bytes are an empty body, as after HEAD; a decoder would take them for one cut short.
  return {
    headers: rest,
    body: bytes.length === 0 ? bytes : await decodeAnswer(bytes, { decode, encoding, bytesMax }),
  };
}

type DecodeOptions = { readonly decode: Decode; readonly encoding: string; readonly bytesMax: number };

async function decodeAnswer(bytes: Uint8Array, { decode, encoding, bytesMax }: DecodeOptions): Promise<Uint8Array> {
  try {
    return await decode(bytes, { maxOutputLength: Math.max(1, bytesMax) });
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(bytesMax);
    const message = `The answer is not in the coding "${encoding}" that its header Content-Encoding names. Ask for plain data.`;
    throw new HttpFailure("ANSWER_UNREADABLE", message, { cause });
  }
}

/** What an encoding may add to data that it cannot make smaller. */
const encodingBytesMax = 64 * 1024;

function encodingsOf(headers: Reply["headers"]): readonly string[] {
  return [headers["content-encoding"] ?? []]
    .flat()
    .flatMap((value) => value.toLowerCase().split(","))
    .map((value) => value.trim())
    .filter((value) => value !== "" && value !== "identity");
}

/** Copies chunks into one buffer: kept as they are, a body sent byte by byte would cost a hundred times its size. */
class BoundedBytes {
  readonly #bytesMax: number;
  readonly #slack: number;
  #buffer = Buffer.allocUnsafeSlow(0);
  #length = 0;

  /** `slack` is what is taken beyond the limit that a failure tells. */
  constructor(bytesMax: number, slack: number) {
    this.#bytesMax = bytesMax;
    this.#slack = slack;
  }

  add(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > this.#bytesMax + this.#slack) throw tooLarge(this.#bytesMax);
    if (length > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(
        Math.min(Math.max(length, 2 * this.#buffer.length), this.#bytesMax + this.#slack),
      );
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

function tooLarge(bytesMax: number): HttpFailure {
  return new HttpFailure("ANSWER_TOO_LARGE", `The answer is larger than ${bytesMax} bytes. Ask for less at a time.`, {
    limit: { name: "answer_bytes", value: bytesMax },
  });
}

import { type Decode, decoderOf, isUndecodable } from "./content-coding.ts";
import { HttpFailure } from "./http-failure.ts";

/** An answer whose body has not been read yet. Header names are in lower case. */
export type UnreadAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: AnswerBody;
};

export type AnswerBody = {
  /**
   * Passes each chunk to `add` as it comes, and settles after the last. An error that `add` throws ends the answer. Gives no
   * promise where the whole body is there already.
   */
  read(add: (chunk: Uint8Array) => void): Promise<void> | undefined;
  /** Discards the body. If some of it has not arrived yet, this closes the connection. */
  discard(): void;
};

/** An answer whose body has been read and decoded. */
export type ReadAnswer = {
  readonly headers: UnreadAnswer["headers"];
  readonly body: Uint8Array;
};

/**
 * Reads and decodes a body, safe from decompression bombs: the limit counts decoded bytes. The request asks for no content
 * coding, but servers use one all the same; a body with several codings is refused.
 */
export async function readAnswerBody(
  { headers, body }: UnreadAnswer,
  { bytesMax }: { bytesMax: number },
): Promise<ReadAnswer> {
  const [encoding = "", ...more] = encodingsOf(headers);
  if (more.length > 0) {
    body.discard();
    throw new HttpFailure("ANSWER_UNREADABLE", "The server encoded its answer more than once. Request plain data.");
  }
  if (isUndecodable(encoding)) {
    body.discard();
    const message = `The answer is in the coding "${encoding}", which cannot be decoded. Request plain data.`;
    throw new HttpFailure("ANSWER_UNREADABLE", message);
  }
  const decode = decoderOf(encoding);
  const sink = new BoundedBytes(bytesMax, decode === undefined ? 0 : encodingBytesMax);
  const reading = body.read((chunk) => sink.add(chunk));
  if (reading !== undefined) {
    await reading;
  }
  const bytes = sink.bytes();
  if (decode === undefined) {
    return { headers, body: bytes };
  }
  const { "content-encoding": _encoding, "content-length": _length, ...rest } = headers;
  // An empty body, as after HEAD, is not decoded: a decoder would take it for a truncated one.
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
    if (cause instanceof Error && "code" in cause && cause.code === "ERR_BUFFER_TOO_LARGE") {
      throw tooLarge(bytesMax);
    }
    const message = `The answer is not in the coding "${encoding}" that its header Content-Encoding names. Request plain data.`;
    throw new HttpFailure("ANSWER_UNREADABLE", message, { cause });
  }
}

/** A coding may make incompressible data larger by this much. */
const encodingBytesMax = 64 * 1024;

function encodingsOf(headers: UnreadAnswer["headers"]): readonly string[] {
  const named = headers["content-encoding"];
  if (named === undefined) {
    return [];
  }
  return [named]
    .flat()
    .flatMap((value) => value.toLowerCase().split(","))
    .map((value) => value.trim())
    .filter((value) => value !== "" && value !== "identity");
}

/**
 * Copies chunks into one buffer, unless there is only one. A list of chunks of one byte each would take a hundred times the
 * memory of the body.
 */
class BoundedBytes {
  readonly #bytesMax: number;
  readonly #slack: number;
  #buffer: Uint8Array = none;
  #length = 0;

  /** @param slack bytes that are accepted beyond `bytesMax`, which the error message names */
  constructor(bytesMax: number, slack: number) {
    this.#bytesMax = bytesMax;
    this.#slack = slack;
  }

  add(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > this.#bytesMax + this.#slack) {
      throw tooLarge(this.#bytesMax);
    }
    if (this.#length === 0) {
      this.#buffer = chunk;
      this.#length = length;
      return;
    }
    // The first chunk is full, so that nothing is written into it.
    if (length > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(
        Math.min(Math.max(length, 2 * this.#buffer.length), this.#bytesMax + this.#slack),
      );
      grown.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = grown;
    }
    this.#buffer.set(chunk, this.#length);
    this.#length = length;
  }

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }
}

const none = new Uint8Array();

function tooLarge(bytesMax: number): HttpFailure {
  return new HttpFailure("ANSWER_TOO_LARGE", `The answer is larger than ${bytesMax} bytes. Request less at a time.`, {
    limit: { name: "answer_bytes", value: bytesMax },
  });
}

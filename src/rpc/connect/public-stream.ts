import type { HttpExchange, NamedLimit } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import { connectErrorOf } from "./connect-error.ts";
import { compressedFlag, envelopeHeadBytes, envelopeOf } from "./envelope.ts";
import type { ProtocolHeaders } from "./protocol-headers.ts";
import { decompress } from "./request-message.ts";

/** How long a caller may take to read the error that ends a stream which was open for too long. */
const endMs = 5_000;

export type PublicStreamOptions = {
  readonly exchange: HttpExchange;
  readonly headers: ProtocolHeaders;
  readonly signal: AbortSignal;
  readonly bytesMax: number;
  /** How long the stream may be open in all. */
  readonly streamMs: number;
  /** Settles when the next message may be answered. */
  readonly takeTurn: () => Promise<void>;
};

/**
 * The messages that a caller without a key streams, each in its envelope. Backpressure: a message is read only when the
 * answer to the one before it has been taken. One that is too large is refused by the length that it announces, before
 * any of it is kept. Throws ConnectError.
 */
export async function* publicMessages(options: PublicStreamOptions): AsyncGenerator<Uint8Array> {
  const { exchange, headers, bytesMax, takeTurn } = options;
  const limit = { name: "open_message_bytes", value: bytesMax };
  const over = whenOver(options);
  // The iterator is never returned, since that would destroy the stream together with the answer.
  const chunks = exchange.request[Symbol.asyncIterator]();
  let rest: Uint8Array = Buffer.alloc(0);
  try {
    for (;;) {
      const length = announcedLength(rest);
      if (length > bytesMax) {
        throw tooLarge(length, limit);
      }
      const end = envelopeHeadBytes + length;
      if (rest.length < end) {
        const { done, value } = await Promise.race([chunks.next(), over]);
        if (done !== true) {
          rest = Buffer.concat([rest, value]);
          continue;
        }
        // connect-node refuses a message that breaks off.
        if (rest.length > 0) {
          yield rest;
        }
        return;
      }
      await Promise.race([takeTurn(), over]);
      const envelope = rest.subarray(0, end);
      rest = rest.subarray(end);
      const isGzip = envelope[0] === compressedFlag && headers.isGzip;
      yield isGzip ? envelopeOf(await decompress(envelope.subarray(envelopeHeadBytes), { exchange, limit })) : envelope;
    }
  } catch (error) {
    throw error instanceof RequestError ? connectErrorOf(error) : error;
  }
}

/** Rejects when the stream has been open for too long, or when its signal aborts. */
function whenOver({ exchange, signal, streamMs }: PublicStreamOptions): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  // Between two messages nobody awaits the promise, and its rejection must not end the process.
  promise.catch(() => undefined);
  const abort = () => reject(signal.reason);
  if (signal.aborted) {
    abort();
  }
  signal.addEventListener("abort", abort, { once: true });
  let cut: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    reject(tooLong(streamMs));
    cut = setTimeout(() => exchange.cut(), endMs);
  }, streamMs);
  exchange.response.once("close", () => {
    clearTimeout(timer);
    clearTimeout(cut);
    signal.removeEventListener("abort", abort);
  });
  return promise;
}

/** The length in an envelope's head; 0 while the head is not complete. */
function announcedLength(bytes: Uint8Array): number {
  if (bytes.length < envelopeHeadBytes) {
    return 0;
  }
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
}

function tooLarge(length: number, { name, value }: NamedLimit): RequestError {
  return new RequestError(
    "PAYLOAD_TOO_LARGE",
    `The message has ${length} bytes; a service that needs no key takes at most ${value}.`,
    { metadata: { limit: name, value: String(value), bytes: String(length) } },
  );
}

function tooLong(streamMs: number): RequestError {
  return new RequestError(
    "REQUEST_TIMEOUT",
    `The stream was open for ${streamMs} ms, the most that a stream without a key may be; open another.`,
    { metadata: { limit: "reflection_ms", value: String(streamMs) }, retryAfterSeconds: 1 },
  );
}

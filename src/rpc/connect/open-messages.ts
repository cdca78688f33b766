import type { HttpExchange, NamedLimit } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import { connectErrorOf } from "./connect-error.ts";
import { envelopeHeadBytes, envelopeOf, inflate } from "./request-message.ts";
import type { RpcTerms } from "./rpc-terms.ts";

/** How long a caller may take for the end of a stream that was open for too long. */
const lastMs = 5_000;

export type OpenMessagesOptions = {
  readonly exchange: HttpExchange;
  readonly terms: RpcTerms;
  readonly signal: AbortSignal;
  readonly bytesMax: number;
  /** How long the stream may be open in all. */
  readonly streamMs: number;
  /** Settles when the next message may be answered. */
  readonly turn: () => Promise<void>;
};

/**
 * The messages of a caller that streams without a key, each in its envelope. The next one is read when the one before is
 * answered and the answer is taken; one that is too large is refused by the length that it announces, before anything of
 * it is kept. Throws ConnectError.
 */
export async function* openMessages(options: OpenMessagesOptions): AsyncGenerator<Uint8Array> {
  const { exchange, terms, bytesMax, turn } = options;
  const limit = { name: "open_message_bytes", value: bytesMax };
  const over = untilOver(options);
  // The iterator is not returned: that would end the stream together with the answer.
  const chunks = exchange.request[Symbol.asyncIterator]();
  let rest: Uint8Array = Buffer.alloc(0);
  try {
    for (;;) {
      const length = announcedLength(rest);
      if (length > bytesMax) throw tooLarge(length, limit);
      const end = envelopeHeadBytes + length;
      if (rest.length < end) {
        const { done, value } = await Promise.race([chunks.next(), over]);
        if (done !== true) {
          rest = Buffer.concat([rest, value]);
          continue;
        }
        // Connect says what is wrong with a message that breaks off.
        if (rest.length > 0) yield rest;
        return;
      }
      await Promise.race([turn(), over]);
      const envelope = rest.subarray(0, end);
      rest = rest.subarray(end);
      const isPacked = envelope[0] === 1 && terms.isPacked;
      yield isPacked ? envelopeOf(await inflate(envelope.subarray(envelopeHeadBytes), { exchange, limit })) : envelope;
    }
  } catch (error) {
    throw error instanceof RequestError ? connectErrorOf(error) : error;
  }
}

/** Rejects when the stream has been open for too long, or when its signal aborts. */
function untilOver({ exchange, signal, streamMs }: OpenMessagesOptions): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  // Nobody may be waiting when it happens.
  promise.catch(() => undefined);
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  let cut: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    reject(tooLong(streamMs));
    cut = setTimeout(() => exchange.cut(), lastMs);
  }, streamMs);
  exchange.response.once("close", () => {
    clearTimeout(timer);
    clearTimeout(cut);
    signal.removeEventListener("abort", abort);
  });
  return promise;
}

/** What the head of an envelope says; 0 where it is not there yet. */
function announcedLength(bytes: Uint8Array): number {
  if (bytes.length < envelopeHeadBytes) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
}

function tooLarge(length: number, { name, value }: NamedLimit): RequestError {
  return new RequestError(
    "PAYLOAD_TOO_LARGE",
    `The message has ${length} bytes; a service that needs no key takes ${value}.`,
    { metadata: { limit: name, value: String(value), bytes: String(length) } },
  );
}

function tooLong(streamMs: number): RequestError {
  return new RequestError(
    "REQUEST_TIMEOUT",
    `The stream was open for ${streamMs} ms, the most that one without a key may be; open another.`,
    { metadata: { limit: "reflection_ms", value: String(streamMs) }, retryAfterSeconds: 1 },
  );
}

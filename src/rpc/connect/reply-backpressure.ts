import type { Writable } from "node:stream";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";

type Backpressure = {
  readonly exchange: HttpExchange;
  /** How long the caller may take nothing of a chunk before its reply is cut. */
  readonly stallMs: number;
};

/** A shorter chunk costs no more than its request. */
const heldBytesMin = 16 * 1_024;

/** Writes the whole body of a reply and ends it. Settles when the caller has taken it, has gone, or was cut. */
export async function writeBody(body: Uint8Array, { exchange, stallMs }: Backpressure): Promise<void> {
  const response: Writable = exchange.response;
  if (body.length < heldBytesMin) {
    response.end(body);
  } else if (!isGone(exchange) && hold(exchange, body.length)) {
    if (!response.write(body)) {
      await whenDrained(response, { exchange, stallMs });
    }
    response.end();
  }
}

/** Hands a stream's chunks on, and counts each while the caller has not taken it. Cuts a caller that stalls. */
export async function* withBackpressure(
  chunks: AsyncIterable<Uint8Array>,
  { exchange, stallMs }: Backpressure,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of chunks) {
    const stalled = setTimeout(() => exchange.cut(), stallMs);
    const isHeld = chunk.length >= heldBytesMin && hold(exchange, chunk.length);
    try {
      yield chunk;
    } finally {
      clearTimeout(stalled);
      if (isHeld) {
        exchange.giveReply(chunk.length);
      }
    }
  }
}

async function whenDrained(response: Writable, { exchange, stallMs }: Backpressure): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const settle = () => resolve();
  const stalled = setTimeout(() => {
    exchange.cut();
    settle();
  }, stallMs);
  response.once("drain", settle).once("close", settle);
  await promise;
  response.off("drain", settle).off("close", settle);
  clearTimeout(stalled);
}

/** Whether the caller has gone. A response that is closed already emits neither `drain` nor `close`. */
export function isGone({ response }: HttpExchange): boolean {
  return "stream" in response ? response.stream.destroyed : response.destroyed;
}

/** Counts bytes of the reply. False where the caller holds too many, and is cut. */
function hold(exchange: HttpExchange, bytes: number): boolean {
  try {
    exchange.holdReply(bytes);
    return true;
  } catch {
    exchange.cut();
    return false;
  }
}

import type { ConnectRouter } from "@connectrpc/connect";
import { universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import { encodeBase64 } from "./grpc-web-text.ts";
import { isGone, withBackpressure } from "./reply-backpressure.ts";
import { contentTypeOf, type RpcFormat } from "./rpc-format.ts";

/** A reply as connect-node's handlers make it. */
export type LibraryReply = Awaited<ReturnType<ConnectRouter["handlers"][number]>>;

type ReplyTarget = { readonly exchange: HttpExchange; readonly format: RpcFormat; readonly stallMs: number };

/**
 * Writes a reply of the library. Settles when it is out, or when the caller has gone and the handler has ended; the
 * library alone would do neither, as it waits for events that no response emits.
 */
export async function writeStreamReply(reply: LibraryReply, { exchange, format, stallMs }: ReplyTarget): Promise<void> {
  const { response } = exchange;
  const { body, ...rest } = format.isText ? inBase64(reply, format) : reply;
  const chunks = body === undefined ? undefined : withBackpressure(body, { exchange, stallMs });
  const closed = new Promise<void>((resolve) => response.once("close", resolve)).then(() => chunks?.return());
  const written = universalResponseToNodeResponse({ ...rest, ...(chunks && { body: chunks }) }, response);
  try {
    await Promise.race([written, closed]);
  } catch (error) {
    // A write to a caller that has gone fails; that is no failure of ours.
    if (!isGone(exchange)) {
      throw error;
    }
    await chunks?.return();
  }
}

/** The library does not speak base64. Each of its chunks ends an envelope, and so may end in padding. */
function inBase64(reply: LibraryReply, format: RpcFormat): LibraryReply {
  const header = new Headers(reply.header);
  header.set("content-type", contentTypeOf(format));
  return reply.body === undefined ? { ...reply, header } : { ...reply, header, body: chunksInBase64(reply.body) };
}

async function* chunksInBase64(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield encodeBase64(chunk);
  }
}

import type { ConnectRouter } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import type { RequestError } from "../../domain/request-error.ts";
import { connectErrorOf } from "./connect-error.ts";
import { type RpcFormat, typeOfFormat } from "./rpc-format.ts";

/** A reply as Connect's handlers make it. */
export type RpcReply = Awaited<ReturnType<ConnectRouter["handlers"][number]>>;

export type ReplyTarget = {
  readonly exchange: HttpExchange;
  readonly format: RpcFormat;
  /** How long the caller may take nothing of the reply. */
  readonly stallMs: number;
};

/**
 * Writes a reply. Settles when it is out, or the caller has gone and the handler is let go; Connect alone would do
 * neither, as it waits for events that no response has.
 */
export async function writeRpcReply(reply: RpcReply, { exchange, format, stallMs }: ReplyTarget): Promise<void> {
  const { response } = exchange;
  const { body, ...rest } = format.isText ? inBase64(reply, format) : reply;
  const taken = body === undefined ? undefined : untilStalled(body, { exchange, stallMs });
  const closed = new Promise<void>((resolve) => response.once("close", resolve)).then(() => taken?.return());
  const written = universalResponseToNodeResponse({ ...rest, ...(taken && { body: taken }) }, response);
  try {
    await Promise.race([written, closed]);
  } catch (error) {
    // A caller that went before this began, or just now, is told of by a failing write; to us it is no failure.
    if (!isGone(response)) throw error;
    await taken?.return();
  }
}

/** A shorter chunk costs no more than its request. */
const heldBytesMin = 16 * 1_024;

function isGone(response: HttpExchange["response"]): boolean {
  return "stream" in response ? response.stream.destroyed : response.destroyed;
}

/** Cuts a caller that takes nothing of a chunk for too long: its handler would be kept for as long as it likes. */
async function* untilStalled(
  body: AsyncIterable<Uint8Array>,
  { exchange, stallMs }: Omit<ReplyTarget, "format">,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of body) {
    const stalled = setTimeout(() => exchange.cut(), stallMs);
    const isHeld = hold(exchange, chunk.length);
    try {
      yield chunk;
    } finally {
      clearTimeout(stalled);
      if (isHeld) exchange.giveReply(chunk.length);
    }
  }
}

/** Counts a chunk while it is not taken; cuts a caller that holds too much. False: it is not worth counting. */
function hold(exchange: HttpExchange, bytes: number): boolean {
  if (bytes < heldBytesMin) return false;
  try {
    exchange.holdReply(bytes);
    return true;
  } catch {
    exchange.cut();
    return false;
  }
}

/** A refusal that no handler of Connect writes: since it has to cost little, or since there is no method to handle. */
export function writeTrailersOnly(error: RequestError, format: RpcFormat, { response }: HttpExchange): void {
  response.statusCode = 200;
  response.setHeader("content-type", contentType(format));
  for (const [name, value] of setTrailerStatus(new Headers(), connectErrorOf(error))) response.setHeader(name, value);
  response.end();
}

/** Connect's handlers do not speak base64. Each of their chunks ends an envelope, and so may end in padding. */
function inBase64(reply: RpcReply, format: RpcFormat): RpcReply {
  const header = new Headers(reply.header);
  header.set("content-type", contentType(format));
  return reply.body === undefined ? { ...reply, header } : { ...reply, header, body: encoded(reply.body) };
}

async function* encoded(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield Buffer.from(Buffer.from(chunk).toString("base64"));
}

function contentType(format: RpcFormat): string {
  return format.isText ? `application/grpc-web-text+${format.codec}` : typeOfFormat(format);
}

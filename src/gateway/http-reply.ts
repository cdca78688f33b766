import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Call } from "../domain/http/call.ts";
import type { HttpExchange } from "../domain/http/protocol-handler.ts";
import { acceptsGzip } from "./accept.ts";

/** A reply that is ready to be written. */
export type HttpReply = {
  readonly status: number;
  /** The body's media type; absent where there is no body. */
  readonly type?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
};

export type TextReply = HttpReply & { readonly body: string };

const compress = promisify(gzip);

/** A shorter body fits in one packet without compression. */
const gzipBytesMin = 1_024;

/** A shorter reply holds no more memory than its request did. */
const heldBytesMin = 16 * 1_024;

/** Writes a reply. Settles when it is handed over; the server cuts a caller that does not take it in time. */
export async function writeReply(exchange: HttpExchange, reply: HttpReply, call: Call): Promise<void> {
  const { body } = reply;
  const bytes = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  if (bytes < gzipBytesMin) {
    // A text goes out with its head as one piece, which bytes would not.
    sendBody(exchange, reply, body, call);
  } else {
    await writeLong(exchange, reply, call);
  }
}

async function writeLong(exchange: HttpExchange, reply: HttpReply, call: Call): Promise<void> {
  const { body, headers, ...rest } = reply;
  if (body.length >= heldBytesMin) {
    await call.turn?.();
  }
  const plain = typeof body === "string" ? Buffer.from(body) : body;
  if (plain.length >= heldBytesMin) {
    hold(exchange, plain.length);
  }
  if (!acceptsGzip(call.headers)) {
    sendBody(exchange, reply, plain, call);
    return;
  }
  const head = { ...rest, headers: { ...headers, "content-encoding": "gzip" } };
  sendBody(exchange, head, await compress(plain), call);
}

/**
 * Counts a reply while its caller has not taken it. Where the caller holds too many, a read is refused, since it can be
 * repeated; any other call may have had an effect, and its connection is cut instead.
 */
function hold(exchange: HttpExchange, bytes: number): void {
  try {
    exchange.holdReply(bytes);
  } catch (refusal) {
    const { method } = exchange.request;
    if (method === "GET" || method === "HEAD") {
      throw refusal;
    }
    exchange.cut();
  }
}

/** Writes a reply whose body has its final encoding. */
export function sendBody(
  { request, response }: HttpExchange,
  head: Omit<HttpReply, "body">,
  body: string | Uint8Array,
  call: Call,
): void {
  setHead(response, head, call);
  if (head.type !== undefined) {
    response.setHeader("content-length", typeof body === "string" ? Buffer.byteLength(body) : body.length);
  }
  if (request.method === "HEAD") {
    response.end();
  } else {
    response.end(body);
  }
}

/** Sets the status and the headers that do not depend on the body. */
export function setHead(
  response: HttpExchange["response"],
  { status, type, headers }: Omit<HttpReply, "body">,
  call: Call,
): void {
  response.statusCode = status;
  if (type !== undefined) {
    response.setHeader("content-type", type);
  }
  // Errors depend on Accept, and longer bodies on Accept-Encoding.
  response.appendHeader("vary", "Accept, Accept-Encoding");
  response.setHeader("cache-control", "no-store");
  response.setHeader("x-content-type-options", "nosniff");
  response.setHeader("x-request-id", call.requestId);
  for (const [name, value] of call.replyHeaders) {
    response.setHeader(name, value);
  }
  for (const [name, value] of Object.entries(headers)) {
    response.setHeader(name, value);
  }
}

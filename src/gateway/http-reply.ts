import type { Call } from "../domain/call.ts";
import type { Exchange } from "../domain/door.ts";

/** A reply that is ready to be written. */
export type HttpReply = {
  readonly status: number;
  /** The body's media type. */
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

/** Writes a reply. Settles when it is written, or when there is nobody left to write it to. */
export async function writeReply(exchange: Exchange, reply: HttpReply, call: Call): Promise<void> {
  const { request, response } = exchange;
  const body = Buffer.from(reply.body);
  response.statusCode = reply.status;
  response.setHeader("content-type", reply.type);
  response.setHeader("content-length", body.length);
  response.setHeader("cache-control", "no-store");
  response.setHeader("x-content-type-options", "nosniff");
  response.setHeader("x-request-id", call.requestId);
  for (const [name, value] of call.replyHeaders) response.setHeader(name, value);
  for (const [name, value] of Object.entries(reply.headers)) response.setHeader(name, value);
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once("finish", resolve);
  response.once("close", resolve);
  // A response whose caller has gone tells neither.
  call.signal.addEventListener("abort", () => resolve(), { once: true });
  if (call.signal.aborted) resolve();
  if (request.method === "HEAD") response.end();
  else response.end(body);
  await promise;
}

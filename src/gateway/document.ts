import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { Call } from "../domain/http/call.ts";
import { namesTag } from "../domain/http/entity-tags.ts";
import type { HttpExchange } from "../domain/http/protocol-handler.ts";
import { acceptsGzip } from "./accept.ts";
import { sendBody } from "./http-reply.ts";

/** A static file for everybody, such as the API page: all replies share one copy in memory. */
export type Document = {
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly plain: Representation;
  readonly compressed: Representation;
};

/** A strong validator names bytes, so each encoding has one of its own (RFC 9110, section 8.8.3.3). */
type Representation = { readonly body: Buffer; readonly etag: string };

export function createDocument(
  type: string,
  content: string | Uint8Array,
  headers: Document["headers"] = {},
): Document {
  const body = Buffer.from(content);
  const hash = createHash("sha256").update(body).digest("base64url").slice(0, 22);
  return {
    type,
    headers,
    plain: { body, etag: `"${hash}"` },
    compressed: { body: gzipSync(body, { level: 9 }), etag: `"${hash}-gzip"` },
  };
}

/** Writes a document, or 304 to a caller that has it already. */
export function writeDocument(exchange: HttpExchange, document: Document, call: Call): void {
  const isCompressed = acceptsGzip(call.headers);
  const { body, etag } = isCompressed ? document.compressed : document.plain;
  const headers = { ...document.headers, etag, "cache-control": "no-cache" };
  if (namesTag(call.headers.get("if-none-match") ?? [], etag)) {
    sendBody(exchange, { status: 304, headers }, Buffer.alloc(0), call);
    return;
  }
  const { type } = document;
  const encoding = isCompressed ? { "content-encoding": "gzip" } : {};
  sendBody(exchange, { status: 200, type, headers: { ...headers, ...encoding } }, body, call);
}

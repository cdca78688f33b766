import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import type { RequestHeaders } from "../../domain/http/call.ts";
import type { NamedLimit } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { RequestBytes } from "./bytes-in-flight.ts";
import { Pieces } from "./chunk-buffer.ts";

export type BodyOptions = {
  readonly headers: RequestHeaders;
  /** Bounds what is sent and what it unpacks to. */
  readonly bytesMax: number;
  /** How a refusal tells it. */
  readonly limit: NamedLimit;
  readonly timeoutMs: number;
  /** Counts what is held. */
  readonly bytes: RequestBytes;
};

/** What unpacking takes beside its result: its window and its buffers. */
const unpackingBytes = 64 * 1024;

/**
 * Reads a whole body. The limit holds while it is read, so that neither a huge body nor a small one that unpacks to a
 * huge one costs more memory than it allows. After a refusal the rest of the body is left unread.
 */
export function readBody(
  request: IncomingMessage | Http2ServerRequest,
  { headers, bytesMax, limit, timeoutMs, bytes }: BodyOptions,
): Promise<Uint8Array> {
  const encoding = headers.get("content-encoding")?.join(", ").toLowerCase() || "identity";
  if (encoding !== "identity" && encoding !== "gzip") {
    return Promise.reject(unknownEncoding(encoding));
  }
  if (Number(headers.get("content-length")?.[0] ?? 0) > bytesMax) {
    return Promise.reject(tooLarge(limit));
  }
  // It says neither that it ends nor that it closes any more: its call would hold its place until the time limit.
  if (isGone(request)) return Promise.reject(brokenOff());
  return new Promise((resolve, reject) => {
    // Both kinds of request are streams; as a union of two they have no callable methods.
    const sent: Readable = request;
    const gunzip = encoding === "gzip" ? createGunzip() : undefined;
    const pieces = new Pieces();
    let bytesSent = 0;
    let bytesTaken = 0;

    const count = (chunk: Buffer) => {
      bytesSent += chunk.length;
      if (bytesSent > bytesMax) {
        fail(tooLarge(limit));
      }
    };
    const take = (chunk: Buffer) => {
      bytesTaken += chunk.length;
      if (bytesTaken > bytesMax) {
        fail(tooLarge(limit));
      } else if (hold(chunk.length)) {
        pieces.add(chunk);
      }
    };
    /** Whether so many bytes more may be held; fails where they may not. */
    const hold = (more: number): boolean => {
      try {
        bytes.take(more);
        return true;
      } catch (refusal) {
        fail(refusal);
        return false;
      }
    };
    const succeed = () => {
      leave();
      resolve(pieces.join());
    };
    const fail = (error: unknown) => {
      leave();
      sent.pause();
      reject(error);
    };
    const leave = () => {
      clearTimeout(timer);
      sent.off("data", count).off("data", take).off("end", succeed).off("close", closed);
      if (gunzip) {
        sent.unpipe(gunzip);
        gunzip.off("data", take).off("end", succeed).destroy();
      }
    };
    const closed = () => {
      if (!sent.readableEnded) {
        fail(brokenOff());
      }
    };

    const timer = setTimeout(() => fail(tooSlow(timeoutMs)), timeoutMs);
    sent.once("close", closed);
    if (gunzip) {
      if (!hold(unpackingBytes)) return;
      gunzip.once("error", (cause) => fail(brokenGzip(cause)));
      sent.on("data", count).pipe(gunzip);
    }
    (gunzip ?? sent).on("data", take).once("end", succeed);
  });
}

/** Whether a request's connection or stream closed before anybody read its body. */
function isGone(request: IncomingMessage | Http2ServerRequest): boolean {
  return "stream" in request ? request.stream.destroyed : request.destroyed;
}

function brokenOff(): RequestError {
  return new RequestError("INVALID_JSON", "The connection closed before the body was complete.");
}

function tooLarge({ name, value }: NamedLimit): RequestError {
  return new RequestError(
    "PAYLOAD_TOO_LARGE",
    `The body is larger than the ${value} bytes that one request may have (limit ${name}).`,
    { metadata: { limit: name, max: String(value), value: String(value) } },
  );
}

function tooSlow(timeoutMs: number): RequestError {
  return new RequestError("REQUEST_TIMEOUT", `The body was not complete after ${timeoutMs} ms; send it faster.`, {
    metadata: { limit: "body_ms", max: String(timeoutMs) },
  });
}

function unknownEncoding(encoding: string): RequestError {
  return new RequestError(
    "UNSUPPORTED_MEDIA_TYPE",
    `The content-encoding "${encoding}" is not known; send the body as it is, or with gzip.`,
    // RFC 9110, section 15.5.16.
    { metadata: { content_encoding: encoding }, headers: { "accept-encoding": "gzip, identity" } },
  );
}

function brokenGzip(cause: Error): RequestError {
  return new RequestError("INVALID_JSON", "The body is not the gzip data that its content-encoding says it is.", {
    cause,
  });
}

import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import type { RequestHeaders } from "../../domain/http/call.ts";
import type { NamedLimit } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { RequestTicket } from "../admission/request-ticket.ts";

/** The largest block that chunks are copied into. */
const blockBytesMax = 64 * 1024;

/**
 * Collects the chunks of a body by copying them into blocks. A received chunk is often a view of a much larger buffer,
 * and the object alone takes a hundred bytes: a body that is sent byte by byte would use a hundred times its length.
 */
export class ChunkBuffer {
  readonly #blocks: Buffer[] = [];
  /** Bytes used of the last block. */
  #used = 0;
  #bytes = 0;

  add(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length; ) {
      const block = this.#freeBlock(chunk.length - from);
      const copied = Math.min(chunk.length - from, block.length - this.#used);
      block.set(chunk.subarray(from, from + copied), this.#used);
      this.#used += copied;
      from += copied;
    }
    this.#bytes += chunk.length;
  }

  concat(): Buffer {
    const [first] = this.#blocks;
    if (this.#blocks.length === 1 && first !== undefined) {
      return first.subarray(0, this.#used);
    }
    return Buffer.concat(this.#blocks, this.#bytes);
  }

  /** The last block if it has room, else a new one: as large as the first chunk, later as all chunks before it together. */
  #freeBlock(bytes: number): Buffer {
    const last = this.#blocks.at(-1);
    if (last !== undefined && this.#used < last.length) {
      return last;
    }
    const block = Buffer.allocUnsafe(Math.min(blockBytesMax, Math.max(bytes, this.#bytes)));
    this.#blocks.push(block);
    this.#used = 0;
    return block;
  }
}

export type BodyOptions = {
  readonly headers: RequestHeaders;
  /** Limits both the bytes that are sent and what they decompress to. */
  readonly bytesMax: number;
  /** How an error names that limit. */
  readonly limit: NamedLimit;
  readonly timeoutMs: number;
  /** Counts the memory that the body uses. */
  readonly bytes: Pick<RequestTicket, "addBody">;
};

type Encoding = "identity" | "gzip";

/**
 * Reads a whole body. The limit is checked while it is read, so that neither a huge body nor a decompression bomb uses
 * more memory than allowed. After an error the rest of the body is left unread.
 */
export function readBody(request: IncomingMessage | Http2ServerRequest, options: BodyOptions): Promise<Uint8Array> {
  const { headers, bytesMax, limit } = options;
  const encoding = headers.get("content-encoding")?.join(", ").toLowerCase() || "identity";
  if (encoding !== "identity" && encoding !== "gzip") {
    return Promise.reject(unknownEncoding(encoding));
  }
  if (Number(headers.get("content-length")?.[0] ?? 0) > bytesMax) {
    return Promise.reject(tooLarge(limit));
  }
  // A closed request emits neither `end` nor `close` any more: its call would hold its slot until the timeout.
  if (isClosed(request)) {
    return Promise.reject(connectionClosed());
  }
  return collect(request, encoding, options);
}

function collect(
  // Both kinds of request are streams. As a union of two types they have no callable methods.
  request: Readable,
  encoding: Encoding,
  { bytesMax, limit, timeoutMs, bytes }: BodyOptions,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const gunzip = encoding === "gzip" ? createGunzip() : undefined;
    const chunks = new ChunkBuffer();
    let receivedBytes = 0;
    let bodyBytes = 0;

    const countReceived = (chunk: Buffer) => {
      receivedBytes += chunk.length;
      if (receivedBytes > bytesMax) {
        fail(tooLarge(limit));
      }
    };
    const add = (chunk: Buffer) => {
      bodyBytes += chunk.length;
      if (bodyBytes > bytesMax) {
        fail(tooLarge(limit));
      } else if (hasMemory(chunk.length)) {
        chunks.add(chunk);
      }
    };
    /** Adds to the memory in use; fails if it is too much. */
    const hasMemory = (more: number): boolean => {
      try {
        bytes.addBody(more);
        return true;
      } catch (error) {
        fail(error);
        return false;
      }
    };
    const succeed = () => {
      removeListeners();
      resolve(chunks.concat());
    };
    const fail = (error: unknown) => {
      removeListeners();
      request.pause();
      reject(error);
    };
    const removeListeners = () => {
      clearTimeout(timer);
      request.off("data", countReceived).off("data", add).off("end", succeed).off("close", onClose);
      if (gunzip) {
        request.unpipe(gunzip);
        gunzip.off("data", add).off("end", succeed).destroy();
      }
    };
    const onClose = () => {
      if (!request.readableEnded) {
        fail(connectionClosed());
      }
    };

    const timer = setTimeout(() => fail(tooSlow(timeoutMs)), timeoutMs);
    request.once("close", onClose);
    if (gunzip) {
      if (!hasMemory(gunzipBytes)) {
        return;
      }
      gunzip.once("error", (cause) => fail(invalidGzip(cause)));
      request.on("data", countReceived).pipe(gunzip);
    }
    (gunzip ?? request).on("data", add).once("end", succeed);
  });
}

/** Memory of a decompression beside its result: its window and its buffers. */
const gunzipBytes = 64 * 1024;

function isClosed(request: IncomingMessage | Http2ServerRequest): boolean {
  return "stream" in request ? request.stream.destroyed : request.destroyed;
}

function connectionClosed(): RequestError {
  return new RequestError("INVALID_JSON", "The connection closed before the body was complete.");
}

export function tooLarge({ name, value }: NamedLimit): RequestError {
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
    `The content-encoding "${encoding}" is not supported; send the body without encoding, or with gzip.`,
    // RFC 9110, 15.5.16.
    { metadata: { content_encoding: encoding }, headers: { "accept-encoding": "gzip, identity" } },
  );
}

function invalidGzip(cause: Error): RequestError {
  return new RequestError("INVALID_JSON", "The body is not valid gzip data, although its content-encoding is gzip.", {
    cause,
  });
}

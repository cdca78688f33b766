import type { DescMessage, Message } from "@bufbuild/protobuf";
import type { HttpExchange, NamedLimit, RequestHead } from "../../domain/http/protocol-handler.ts";
import { messageFromJson } from "../../domain/json/json-message.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import { compressedFlag, envelopeHeadBytes } from "./envelope.ts";
import { decodeBase64 } from "./grpc-web-text.ts";
import type { ProtocolHeaders } from "./protocol-headers.ts";
import type { RpcFormat } from "./rpc-format.ts";
import { messageFromBinary } from "./wire/wire-message.ts";

export type ReadOptions = {
  readonly exchange: HttpExchange;
  readonly head: RequestHead;
  readonly format: RpcFormat;
  readonly headers: ProtocolHeaders;
  readonly schema: DescMessage;
  readonly limits: Limits;
  /** Bounds the bytes of the message, decompressed. */
  readonly limit: NamedLimit;
};

export type RequestMessage = { readonly message: Message; readonly bytes: Uint8Array };

/**
 * Reads the only request message of a call, in JSON or binary, and gives it with the bytes that it was decoded from. The
 * bytes pass the scanner of their format before anything is decoded. Throws RequestError.
 */
export async function readRequestMessage(options: ReadOptions): Promise<RequestMessage> {
  const { format, schema, limits } = options;
  const bytes = await readBytes(options);
  if (format.codec === "json") {
    return { bytes, message: messageFromJson(schema, bytes, limits) };
  }
  const message = messageFromBinary(schema, bytes, { ...limits.payload, bytesMax: limits.transportBytesMax });
  return { bytes, message };
}

/** The bytes of the message, out of their envelope, base64 and compression. */
async function readBytes(options: ReadOptions): Promise<Uint8Array> {
  const { exchange, head, format, limit } = options;
  if (head.method === "GET") {
    return readQuery(options);
  }
  if (!format.isEnveloped) {
    return exchange.readBody(limit.value, limit);
  }
  const bodyMax = limit.value + envelopeHeadBytes;
  if (!format.isText) {
    return openEnvelope(await exchange.readBody(bodyMax, limit), options);
  }
  const text = await exchange.readBody(Math.ceil(bodyMax / 3) * 4, limit);
  const body = decodeBase64(text);
  if (body === undefined) {
    throw new RequestError("VALIDATION_ERROR", "The body is not base64.");
  }
  return openEnvelope(body, options);
}

/** Connect's GET form (connectrpc.com/docs/protocol#unary-get-request). */
async function readQuery({ head, exchange, limit }: ReadOptions): Promise<Uint8Array> {
  const query = new URLSearchParams(head.query);
  const message = query.get("message") ?? "";
  const raw = query.get("base64") === "1" ? Buffer.from(message, "base64url") : Buffer.from(message);
  const compression = query.get("compression") || "identity";
  if (compression === "identity") {
    return raw;
  }
  if (compression === "gzip") {
    return decompress(raw, { exchange, limit });
  }
  throw new RequestError(
    "UNSUPPORTED_MEDIA_TYPE",
    `The compression "${compression}" is not known; send the message as it is, or with gzip.`,
    { metadata: { compression } },
  );
}

async function openEnvelope(
  body: Uint8Array,
  { exchange, headers, limit }: Pick<ReadOptions, "exchange" | "headers" | "limit">,
): Promise<Uint8Array> {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  if (body.length < envelopeHeadBytes || view.getUint32(1) !== body.length - envelopeHeadBytes) {
    throw new RequestError("VALIDATION_ERROR", "The body must hold one message in one whole envelope.");
  }
  const flags = view.getUint8(0);
  const message = body.subarray(envelopeHeadBytes);
  if (flags === 0) {
    return message;
  }
  if (flags === compressedFlag && headers.isGzip) {
    return decompress(message, { exchange, limit });
  }
  if (flags === compressedFlag) {
    // gRPC asks for INTERNAL here: github.com/grpc/grpc/blob/master/doc/compression.md
    throw new RequestError(
      "ENCODING_UNDECLARED",
      "The message is marked as compressed, and no header says how; name the encoding, or send it as it is.",
    );
  }
  throw new RequestError(
    "VALIDATION_ERROR",
    `The envelope's flags are ${flags}; send 0, or 1 for a message that is compressed as the encoding in the header says.`,
    { metadata: { flags: String(flags) } },
  );
}

/** Decompresses a message. Throws RequestError as soon as it is too large, so a decompression bomb takes no memory. */
export async function decompress(
  bytes: Uint8Array,
  { exchange, limit: { name, value } }: Pick<ReadOptions, "exchange" | "limit">,
): Promise<Uint8Array> {
  try {
    return await exchange.unpack(bytes, value);
  } catch (cause) {
    if (cause instanceof RequestError) {
      throw cause;
    }
    if (cause instanceof RangeError) {
      throw new RequestError("PAYLOAD_TOO_LARGE", `The message is larger than ${value} bytes when decompressed.`, {
        metadata: { limit: name, value: String(value) },
        cause,
      });
    }
    throw new RequestError("VALIDATION_ERROR", "The message is marked as compressed and is not valid gzip.", { cause });
  }
}

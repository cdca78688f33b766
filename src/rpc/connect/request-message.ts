import { type DescMessage, fromBinary, type Message } from "@bufbuild/protobuf";
import type { HttpExchange, NamedLimit, RequestHead } from "../../domain/http/protocol-handler.ts";
import { messageFromJson } from "../../domain/json/json-message.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import { decodeBase64 } from "./base64.ts";
import type { RpcFormat } from "./rpc-format.ts";
import type { RpcTerms } from "./rpc-terms.ts";
import { scanWire } from "./wire/wire-scan.ts";

/** Bytes of an envelope's head: flags and length. */
export const envelopeHeadBytes = 5;

export type ReadOptions = {
  readonly exchange: HttpExchange;
  readonly head: RequestHead;
  readonly format: RpcFormat;
  readonly terms: RpcTerms;
  readonly schema: DescMessage;
  readonly limits: Limits;
  /** How many bytes a message may have, decompressed. */
  readonly limit: NamedLimit;
};

/**
 * Reads the one request message of a call over Connect, gRPC or gRPC-Web, in JSON or binary. Its bytes pass the
 * scanner of their format before anything is parsed. Throws RequestError.
 */
export async function readRequestMessage(options: ReadOptions): Promise<Message> {
  const { format, schema, limits } = options;
  const bytes = await readBytes(options);
  if (format.codec === "json") return messageFromJson(schema, bytes, limits);
  scanWire(bytes, schema, { ...limits.payload, bytesMax: limits.transportBytesMax });
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new RequestError("VALIDATION_ERROR", `The body is not a ${schema.typeName} in protobuf's binary form.`, {
      cause,
    });
  }
}

type OpenOptions = Pick<ReadOptions, "exchange" | "terms" | "limit">;

/** A body that holds one message. */
export async function* bodyOf(message: Uint8Array, { isEnveloped }: RpcFormat): AsyncGenerator<Uint8Array> {
  yield isEnveloped ? envelopeOf(message) : message;
}

/** A message that is not packed, in its envelope. */
export function envelopeOf(message: Uint8Array): Uint8Array {
  const head = Buffer.alloc(envelopeHeadBytes);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

async function readBytes(options: ReadOptions): Promise<Uint8Array> {
  const { exchange, head, format, limit } = options;
  if (head.method === "GET") return readQuery(options);
  if (!format.isEnveloped) return exchange.readBody(limit.value, limit);
  const bodyMax = limit.value + envelopeHeadBytes;
  if (!format.isText) return openEnvelope(await exchange.readBody(bodyMax, limit), options);
  const text = await exchange.readBody(Math.ceil(bodyMax / 3) * 4, limit);
  const body = decodeBase64(text);
  if (body === undefined) throw new RequestError("VALIDATION_ERROR", "The body is not base64.");
  return openEnvelope(body, options);
}

async function readQuery({ head, exchange, limit }: ReadOptions): Promise<Uint8Array> {
  const query = new URLSearchParams(head.query);
  const message = query.get("message") ?? "";
  const raw = query.get("base64") === "1" ? Buffer.from(message, "base64url") : Buffer.from(message);
  const compression = query.get("compression") || "identity";
  if (compression === "identity") return raw;
  if (compression === "gzip") return inflate(raw, { exchange, limit });
  throw new RequestError(
    "UNSUPPORTED_MEDIA_TYPE",
    `The compression "${compression}" is not known; send the message as it is, or with gzip.`,
    { metadata: { compression } },
  );
}

async function openEnvelope(body: Uint8Array, { exchange, terms, limit }: OpenOptions): Promise<Uint8Array> {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  if (body.length < envelopeHeadBytes || view.getUint32(1) !== body.length - envelopeHeadBytes) {
    throw new RequestError("VALIDATION_ERROR", "The body must hold one message in one whole envelope.");
  }
  const flags = view.getUint8(0);
  const message = body.subarray(envelopeHeadBytes);
  if (flags === 0) return message;
  if (flags === 1 && terms.isPacked) return inflate(message, { exchange, limit });
  if (flags === 1) {
    // Not the caller's, by the document "Compression" of gRPC: a peer that breaks the protocol so is told INTERNAL.
    throw new RequestError(
      "ENCODING_UNDECLARED",
      "The message is marked as compressed, and no header says how; name the encoding, or send it as it is.",
    );
  }
  throw new RequestError(
    "VALIDATION_ERROR",
    `The envelope's flags are ${flags}; send 0, or 1 for a message that is packed as the encoding in the header says.`,
    { metadata: { flags: String(flags) } },
  );
}

/** Unpacks a message. Throws RequestError as soon as it is too large. */
export async function inflate(
  bytes: Uint8Array,
  { exchange, limit: { name, value } }: Pick<ReadOptions, "exchange" | "limit">,
): Promise<Uint8Array> {
  try {
    return await exchange.unpack(bytes, value);
  } catch (cause) {
    if (cause instanceof RequestError) throw cause;
    if (cause instanceof RangeError) {
      throw new RequestError("PAYLOAD_TOO_LARGE", `The message is larger than ${value} bytes when decompressed.`, {
        metadata: { limit: name, value: String(value) },
        cause,
      });
    }
    throw new RequestError("VALIDATION_ERROR", "The message is marked as compressed and is not valid gzip.", { cause });
  }
}

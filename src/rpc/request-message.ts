import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { type DescMessage, fromBinary, type Message } from "@bufbuild/protobuf";
import type { Exchange, RequestHead } from "../domain/door.ts";
import { messageFromJson } from "../domain/json-message.ts";
import type { Limits } from "../domain/limits.ts";
import { RequestError } from "../domain/request-error.ts";
import { scanWire } from "./wire-scan.ts";

const decompress = promisify(gunzip);

/** Bytes of an envelope's head: flags and length. */
const envelopeHeadBytes = 5;

export type ReadOptions = {
  readonly exchange: Exchange;
  readonly head: RequestHead;
  readonly schema: DescMessage;
  readonly limits: Limits;
};

/**
 * Reads the one request message of a unary call over Connect, gRPC or gRPC-Web, in JSON or binary. Its bytes pass the
 * scanner of their format before anything is parsed. Throws RequestError.
 */
export async function readRequestMessage({ exchange, head, schema, limits }: ReadOptions): Promise<Message> {
  const { bytes, type } = await readBytes(exchange, head, limits);
  if (type.includes("json")) return messageFromJson(schema, bytes, limits);
  scanWire(bytes, schema, { ...limits.payload, bytesMax: limits.transportBytesMax });
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new RequestError("VALIDATION_ERROR", `The body is not a ${schema.typeName} in protobuf's binary form.`, {
      cause,
    });
  }
}

/** The empty message that stands in for the one read here: bare, as JSON, or in an envelope, as the type says. */
export async function* emptyBody(type: string): AsyncGenerator<Uint8Array> {
  const message = type.includes("json") ? Buffer.from("{}") : Buffer.alloc(0);
  yield isEnveloped(type) ? Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]) : message;
}

async function readBytes(
  exchange: Exchange,
  head: RequestHead,
  { transportBytesMax }: Limits,
): Promise<{ readonly bytes: Uint8Array; readonly type: string }> {
  if (head.method === "GET") return readQuery(head, transportBytesMax);
  const type = head.headers.get("content-type")?.[0]?.toLowerCase() ?? "";
  if (!isEnveloped(type)) return { bytes: await exchange.readBody(transportBytesMax), type };
  const body = await exchange.readBody(transportBytesMax + envelopeHeadBytes);
  return { bytes: await openEnvelope(body, transportBytesMax), type };
}

/** Connect's GET form of a call without side effects: the message stands in the query. */
async function readQuery(head: RequestHead, bytesMax: number) {
  const query = new URLSearchParams(head.query);
  const message = query.get("message") ?? "";
  const raw = query.get("base64") === "1" ? Buffer.from(message, "base64url") : Buffer.from(message);
  const bytes = query.get("compression") === "gzip" ? await inflate(raw, bytesMax) : raw;
  return { bytes, type: `application/${query.get("encoding") ?? ""}` };
}

async function openEnvelope(body: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  if (body.length < envelopeHeadBytes || view.getUint32(1) !== body.length - envelopeHeadBytes) {
    throw new RequestError("VALIDATION_ERROR", "The body must hold one message in one whole envelope.");
  }
  const message = body.subarray(envelopeHeadBytes);
  return view.getUint8(0) === 0 ? message : inflate(message, bytesMax);
}

async function inflate(bytes: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  try {
    return await decompress(bytes, { maxOutputLength: bytesMax });
  } catch (cause) {
    if (cause instanceof RangeError) {
      throw new RequestError("PAYLOAD_TOO_LARGE", `The message is larger than ${bytesMax} bytes when decompressed.`, {
        metadata: { limit: "transport_bytes", value: String(bytesMax) },
        cause,
      });
    }
    throw new RequestError("VALIDATION_ERROR", "The message is marked as compressed and is not valid gzip.", { cause });
  }
}

function isEnveloped(type: string): boolean {
  return type.startsWith("application/grpc") || type.startsWith("application/connect+");
}

import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import type { Call } from "../../domain/http/call.ts";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import { writeJson } from "../../domain/json/json-writer.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import { compressedFlag, envelopeOf, trailerFlag } from "./envelope.ts";
import { encodeBase64 } from "./grpc-web-text.ts";
import type { ProtocolHeaders } from "./protocol-headers.ts";
import { writeBody } from "./reply-backpressure.ts";
import { contentTypeOf, type RpcFormat } from "./rpc-format.ts";
import { messageToBinary } from "./wire/wire-message.ts";

export type UnaryReply = {
  readonly exchange: HttpExchange;
  readonly format: RpcFormat;
  readonly headers: ProtocolHeaders;
  readonly call: Call;
  readonly schema: DescMessage;
  readonly limits: Limits;
};

const compress = promisify(gzip);

/** Compressing a shorter message costs more than it saves. */
const compressedBytesMin = 1024;

/** The trailers of a call that succeeded, as gRPC-Web sends them behind the message. */
const statusOk = envelopeOf(Buffer.from("grpc-status: 0\r\n"), trailerFlag);

/** Writes the reply message of a unary call. Settles when it is handed over. Throws RequestError where it is too large. */
export async function writeUnaryReply(message: Message, reply: UnaryReply): Promise<void> {
  const { exchange, format, call, limits } = reply;
  const { response } = exchange;
  const body = await encodeReply(message, reply);
  response.statusCode = 200;
  response.setHeader("content-type", contentTypeOf(format));
  for (const [name, value] of call.replyHeaders) {
    response.setHeader(name, value);
  }
  if (format.protocol === "grpc") {
    // Over HTTP/1.1 the head goes first: Node sends no trailers behind a body whose length it knows.
    if (!("stream" in response)) {
      response.flushHeaders();
    }
    response.addTrailers({ "grpc-status": "0" });
  } else {
    response.setHeader("content-length", body.length);
  }
  await writeBody(body, { exchange, stallMs: limits.streamStallMs });
}

async function encodeReply(
  message: Message,
  { exchange, format, headers, schema, limits }: UnaryReply,
): Promise<Uint8Array> {
  const encoded = format.codec === "json" ? Buffer.from(writeJson(schema, message)) : messageToBinary(schema, message);
  if (encoded.length > limits.transportBytesMax) {
    throw tooLarge(encoded.length, limits.transportBytesMax);
  }
  const isGzip = headers.acceptsGzip && encoded.length >= compressedBytesMin;
  const data = isGzip ? await compress(encoded) : encoded;
  if (isGzip) {
    exchange.response.setHeader(format.isEnveloped ? "grpc-encoding" : "content-encoding", "gzip");
  }
  if (!format.isEnveloped) {
    return data;
  }
  const envelope = envelopeOf(data, isGzip ? compressedFlag : 0);
  if (format.protocol === "grpc") {
    return envelope;
  }
  const body = Buffer.concat([envelope, statusOk]);
  return format.isText ? encodeBase64(body) : body;
}

function tooLarge(bytes: number, max: number): RequestError {
  return new RequestError("REPLY_TOO_LARGE", `The reply has ${bytes} bytes, and ${max} is the most.`, {
    metadata: { limit: "transport_bytes", value: String(max), bytes: String(bytes) },
  });
}

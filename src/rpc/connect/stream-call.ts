import type { DescMethodServerStreaming, Message } from "@bufbuild/protobuf";
import { type ConnectRouter, createContextKey, createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { AddressPacer } from "../../domain/http/address-pacer.ts";
import type { Call } from "../../domain/http/call.ts";
import type { NamedLimit } from "../../domain/http/protocol-handler.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Chain } from "../chain/handler-chain.ts";
import { isLarge } from "../chain/large-message.ts";
import { connectErrorOf } from "./connect-error.ts";
import { envelopeOf } from "./envelope.ts";
import type { RpcRequest, Serve } from "./procedure.ts";
import { type ProtocolHeaders, readProtocolHeaders } from "./protocol-headers.ts";
import { publicMessages } from "./public-stream.ts";
import { readRequestMessage } from "./request-message.ts";
import { binaryTypeOf } from "./rpc-format.ts";
import { writeStreamReply } from "./stream-reply.ts";

/** connect-node's handler of one method. */
export type LibraryHandler = ConnectRouter["handlers"][number];

export type StreamOptions = {
  readonly handler: LibraryHandler;
  /** Given for a method of a public service, whose callers are served one address after the other. */
  readonly pacer: AddressPacer | undefined;
  readonly limits: Limits;
};

/** Under this key a handler finds the call that it serves. */
const callKey = createContextKey<Call | undefined>(undefined);

/**
 * Serves a method by connect-node: a stream, or any method of a public service. The library is handed the bytes of the
 * request message after they have passed the scanners.
 */
export function serveByLibrary(options: StreamOptions): Serve {
  const { handler, limits } = options;
  return async (request) => {
    const { head, format, exchange, call } = request;
    const headers = readProtocolHeaders(head, format);
    const deadline = headers.timeoutMs === undefined ? {} : { deadline: performance.now() + headers.timeoutMs };
    const reply = await handler({
      httpVersion: "2",
      // A GET was read from its query, and is answered as the POST that it stands for.
      method: "POST",
      url: `http://flowcall${head.path}`,
      header: libraryHeaders(request, headers),
      body: await requestBody(request, { ...options, headers }),
      signal: call.signal,
      contextValues: createContextValues().set(callKey, { ...call, ...deadline }),
    });
    await writeStreamReply(reply, { exchange, format, stallMs: limits.streamStallMs });
  };
}

/** The implementation that connect-node calls for a method whose reply is a stream. */
export function streamHandler(method: DescMethodServerStreaming, { invokeStream }: Pick<Chain, "invokeStream">) {
  return async function* (request: Message, context: HandlerContext): AsyncGenerator<Message> {
    const call = context.values.get(callKey);
    if (call === undefined) {
      throw new Error("connect-node was called without the call that it serves");
    }
    // The library's signal aborts when the call's own does, and at the caller's deadline.
    const { signal } = context;
    try {
      for await (const message of invokeStream(method, request, { ...call, signal })) {
        sendHeaders(call, context);
        if (isLarge(message)) {
          await call.turn?.();
        }
        yield message;
      }
      // A stream that its deadline has ended must not look like one that is complete.
      signal.throwIfAborted();
    } catch (error) {
      throw error instanceof RequestError ? connectErrorOf(error) : error;
    } finally {
      sendHeaders(call, context);
    }
  };
}

/** Headers count until the first message has gone. */
function sendHeaders({ replyHeaders }: Call, { responseHeader }: HandlerContext): void {
  for (const [name, value] of replyHeaders) {
    responseHeader.set(name, value);
  }
}

type BodyOptions = StreamOptions & { readonly headers: ProtocolHeaders };

/** The message or messages of a request as the library reads them: decompressed, each in its envelope. */
async function requestBody(request: RpcRequest, options: BodyOptions): Promise<AsyncIterable<Uint8Array>> {
  const { handler, pacer, limits, headers } = options;
  const { input: schema, methodKind } = handler.method;
  if (methodKind === "bidi_streaming" || methodKind === "client_streaming") {
    return requestStream(request, options);
  }
  const { bytes } = await readRequestMessage({ ...request, headers, schema, limits, limit: limitOf(options) });
  await pacer?.take(request.exchange.address);
  return one(request.format.isEnveloped ? envelopeOf(bytes) : bytes);
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function limitOf({ pacer, limits }: StreamOptions): NamedLimit {
  return pacer === undefined
    ? { name: "transport_bytes", value: limits.transportBytesMax }
    : { name: "open_message_bytes", value: limits.openMessageBytesMax };
}

function requestStream({ exchange, format, call }: RpcRequest, { pacer, limits, headers }: BodyOptions) {
  if (pacer === undefined || format.isText || !("stream" in exchange.request)) {
    throw new RequestError("VALIDATION_ERROR", "This method streams both ways; call it by gRPC over HTTP/2.");
  }
  return publicMessages({
    exchange,
    headers,
    signal: call.signal,
    bytesMax: limits.openMessageBytesMax,
    streamMs: limits.reflectionMs,
    takeTurn: () => pacer.take(exchange.address),
  });
}

/** Request headers that were read already: the library is told what they came to. */
const readHere: ReadonlySet<string> = new Set([
  "content-type",
  "content-length",
  "content-encoding",
  "connect-content-encoding",
  "grpc-encoding",
  "connect-timeout-ms",
  "grpc-timeout",
]);

function libraryHeaders({ head, format }: RpcRequest, { isGzip, timeoutMs }: ProtocolHeaders): Headers {
  const isConnect = format.protocol === "connect";
  const headers = new Headers();
  for (const [name, values] of head.headers) {
    if (!readHere.has(name)) {
      for (const value of values) {
        headers.append(name, value);
      }
    }
  }
  headers.set("content-type", binaryTypeOf(format));
  if (isGzip) {
    headers.set(isConnect ? "connect-content-encoding" : "grpc-encoding", "gzip");
  }
  if (timeoutMs !== undefined) {
    const ms = Math.ceil(timeoutMs);
    headers.set(isConnect ? "connect-timeout-ms" : "grpc-timeout", isConnect ? `${ms}` : `${ms}m`);
  }
  return headers;
}

import { codeToHttpStatus, createEndStreamSerialization, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import type { Call } from "../../domain/http/call.ts";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import type { RequestError } from "../../domain/request-error.ts";
import { connectErrorOf } from "./connect-error.ts";
import { endStreamFlag, envelopeOf, trailerFlag } from "./envelope.ts";
import { encodeBase64 } from "./grpc-web-text.ts";
import { contentTypeOf, jsonOptions, type RpcFormat } from "./rpc-format.ts";

export type RefusedRequest = {
  readonly exchange: HttpExchange;
  readonly format: RpcFormat;
  readonly call: Pick<Call, "replyHeaders" | "refusal">;
};

const endStreams = createEndStreamSerialization(jsonOptions);

/** Writes a refusal in the caller's protocol, as the whole reply. */
export function writeRefusal(error: RequestError, { exchange: { response }, format, call }: RefusedRequest): void {
  call.refusal = error;
  const failure = connectErrorOf(error);
  const setHeaders = (headers: Iterable<readonly [string, string]>) => {
    for (const [name, value] of headers) {
      response.setHeader(name, value);
    }
  };
  response.statusCode = 200;
  response.setHeader("content-type", contentTypeOf(format));
  setHeaders(call.replyHeaders);
  setHeaders(Object.entries(error.details.headers ?? {}));
  if (format.protocol === "grpc") {
    // Trailers-Only: github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
    setHeaders(setTrailerStatus(new Headers(), failure));
    response.end();
  } else if (format.protocol === "grpc-web") {
    const trailers = envelopeOf(trailerSerialize(setTrailerStatus(new Headers(), failure)), trailerFlag);
    response.end(format.isText ? encodeBase64(trailers) : trailers);
  } else if (format.isEnveloped) {
    response.end(envelopeOf(endStreams.serialize({ metadata: new Headers(), error: failure }), endStreamFlag));
  } else {
    // The error of a unary call is JSON in either codec: connectrpc.com/docs/protocol#error-end-stream
    response.statusCode = codeToHttpStatus(failure.code);
    response.setHeader("content-type", "application/json");
    setHeaders(failure.metadata);
    response.end(errorToJsonBytes(failure, jsonOptions));
  }
}

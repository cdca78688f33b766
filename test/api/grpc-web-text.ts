import { gzipSync } from "node:zlib";
import { fromBinary, fromJson, toBinary } from "@bufbuild/protobuf";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import { decodePieces, frame, framesOf } from "../support/grpc-web.ts";
import { type HttpVersion, sendRequest } from "../support/http-request.ts";
import { refusalAnswer, replyAnswer } from "./connect-answer.ts";
import type { ApiAnswer, ApiCall } from "./protocols.ts";

/** `application/grpc-web-text`, which no client of ours speaks: gRPC-Web whose bodies are base64, in pieces. */
export async function callGrpcWebText(
  url: string,
  { version, isPacked }: { readonly version: HttpVersion; readonly isPacked: boolean },
  { method, fields, headers = [], key }: ApiCall,
): Promise<ApiAnswer> {
  const message = toBinary(method.input, fromJson(method.input, fields));
  const body = frame(isPacked ? 1 : 0, isPacked ? gzipSync(message) : message);
  // Two pieces, each with padding of its own, as a client that encodes while it sends makes them.
  const text = body.subarray(0, 5).toString("base64") + body.subarray(5).toString("base64");
  const answer = await sendRequest(url, version, {
    method: "POST",
    path: `/${method.parent.typeName}/${method.name}`,
    headers: [
      ["content-type", "application/grpc-web-text"],
      ...(key === undefined ? [] : ([["x-api-key", key]] as const)),
      ...(isPacked
        ? ([
            ["grpc-encoding", "gzip"],
            ["grpc-accept-encoding", "gzip"],
          ] as const)
        : []),
      ...headers,
    ],
    body: text,
  });
  const frames = [...framesOf(decodePieces(answer.body.toString()))];
  const trailer = frames.find(({ flags }) => (flags & 0x80) !== 0);
  const failure = findTrailerError(trailer === undefined ? answer.headers : trailerParse(trailer.data));
  if (failure !== undefined) {
    return refusalAnswer(failure);
  }
  const reply = fromBinary(method.output, frames[0]?.data ?? new Uint8Array());
  return replyAnswer(method.output, reply, answer.headers);
}

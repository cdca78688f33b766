import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { parse } from "content-type";
import type { RequestHead } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";

/** How messages are written as JSON: with the fields that have their default, as REST writes them. */
export const jsonOptions = { alwaysEmitImplicit: true } as const;

/** The protocol of a request, its codec, and its framing. The reply has the same format. */
export type RpcFormat = {
  readonly protocol: "connect" | "grpc" | "grpc-web";
  readonly codec: "json" | "proto";
  /** Whether messages are in envelopes of flags and a length. */
  readonly isEnveloped: boolean;
  /** Whether the body is base64, as `application/grpc-web-text` is. */
  readonly isText: boolean;
};

/**
 * The format of a request for a method. Throws METHOD_NOT_ALLOWED or UNSUPPORTED_MEDIA_TYPE where the request speaks none of
 * the three protocols, so that only REST's form is left for the reply.
 */
export function rpcFormat(method: DescMethod, head: RequestHead): RpcFormat {
  const isStreaming = method.methodKind !== "unary";
  if (head.method === "GET" && isReadOnly(method)) {
    return queryFormat(head);
  }
  if (head.method !== "POST") {
    throw methodNotAllowed(head, allowedMethods(method));
  }
  const types = head.headers.get("content-type") ?? [];
  const format = types.length === 1 ? formatOfType(types[0] ?? "") : undefined;
  if (format === undefined || (format.protocol === "connect" && format.isEnveloped !== isStreaming)) {
    const own = isStreaming ? "application/connect+" : "application/";
    const taken = `${own}json, ${own}proto, application/grpc, application/grpc-web or application/grpc-web-text`;
    throw typeRefused(`content-type is ${types.join(", ") || "none"}`, taken);
  }
  return format;
}

/** The format of a content-type; undefined for that of another protocol. */
export function formatOfType(header: string): RpcFormat | undefined {
  const exact = formats.get(header);
  if (exact !== undefined) {
    return exact;
  }
  const { type, parameters } = parse(header);
  const { charset = "utf-8", ...others } = parameters;
  const isPlain = /^utf-?8$/i.test(charset) && Object.keys(others).length === 0;
  return isPlain ? formats.get(type) : undefined;
}

/** The content-type of a reply in a format. */
export function contentTypeOf(format: RpcFormat): string {
  return format.isText ? `application/grpc-web-text+${format.codec}` : binaryTypeOf(format);
}

/** The content-type without base64, which connect-node does not know. */
export function binaryTypeOf({ protocol, codec, isEnveloped }: RpcFormat): string {
  if (protocol === "connect") {
    return `application/${isEnveloped ? "connect+" : ""}${codec}`;
  }
  return `application/${protocol}+${codec}`;
}

/** The HTTP methods of a procedure, for the header `Allow`. */
export function allowedMethods(method: DescMethod): string {
  return isReadOnly(method) ? "GET, POST, OPTIONS" : "POST, OPTIONS";
}

/** Connect's GET form of a call without side effects, whose message is in the query. */
function queryFormat({ query }: RequestHead): RpcFormat {
  const encoding = new URLSearchParams(query).get("encoding") ?? "none";
  if (encoding === "json" || encoding === "proto") {
    return connect(encoding);
  }
  throw typeRefused(`encoding in the query is ${encoding}`, "encoding=json or encoding=proto");
}

function isReadOnly(method: DescMethod): boolean {
  return method.methodKind === "unary" && method.idempotency === Idempotency.NO_SIDE_EFFECTS;
}

function connect(codec: RpcFormat["codec"]): RpcFormat {
  return { protocol: "connect", codec, isEnveloped: false, isText: false };
}

function grpc(protocol: "grpc" | "grpc-web", codec: RpcFormat["codec"]): RpcFormat {
  return { protocol, codec, isEnveloped: true, isText: false };
}

function grpcWebText(codec: RpcFormat["codec"]): RpcFormat {
  return { ...grpc("grpc-web", codec), isText: true };
}

const formats: ReadonlyMap<string, RpcFormat> = new Map([
  ["application/json", connect("json")],
  ["application/proto", connect("proto")],
  ["application/connect+json", { ...connect("json"), isEnveloped: true }],
  ["application/connect+proto", { ...connect("proto"), isEnveloped: true }],
  ["application/grpc", grpc("grpc", "proto")],
  ["application/grpc+proto", grpc("grpc", "proto")],
  ["application/grpc+json", grpc("grpc", "json")],
  ["application/grpc-web", grpc("grpc-web", "proto")],
  ["application/grpc-web+proto", grpc("grpc-web", "proto")],
  ["application/grpc-web+json", grpc("grpc-web", "json")],
  ["application/grpc-web-text", grpcWebText("proto")],
  ["application/grpc-web-text+proto", grpcWebText("proto")],
  ["application/grpc-web-text+json", grpcWebText("json")],
]);

function methodNotAllowed({ method, path }: RequestHead, allow: string): RequestError {
  return new RequestError("METHOD_NOT_ALLOWED", `${path} does not take ${method}; it takes ${allow}.`, {
    metadata: { method, path, allow },
  });
}

function typeRefused(given: string, taken: string): RequestError {
  return new RequestError("UNSUPPORTED_MEDIA_TYPE", `The ${given}; this method takes ${taken}.`, {
    metadata: { given, taken },
  });
}

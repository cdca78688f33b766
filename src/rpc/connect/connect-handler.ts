/*
 * The protocol handler for Connect (connectrpc.com/docs/protocol), gRPC and gRPC-Web (github.com/grpc/grpc, doc/).
 *
 * - Each request message is read once, by `request-message.ts`: its bytes pass the scanners before anything decodes them.
 * - A unary call is read, made and written here (`procedure.ts`). connect-node serves the streams and the public
 *   services (`stream-call.ts`), and is handed the bytes that were scanned.
 * - Every refusal is written by `refusal.ts`, with its reason and in the caller's protocol. A request that speaks none of
 *   the three protocols is refused by `match`, and the server writes that in REST's form.
 */
import {
  type DescMethod,
  type DescMethodServerStreaming,
  type DescService,
  getOption,
  hasOption,
} from "@bufbuild/protobuf";
import { type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import { createMethodUrl } from "@connectrpc/connect/protocol";
import { compressionGzip } from "@connectrpc/connect-node";
import { AddressPacer } from "../../domain/http/address-pacer.ts";
import type { HttpExchange, ProtocolHandler, RequestHead, Route } from "../../domain/http/protocol-handler.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import { type Scope, scope } from "../../gen/flowcall/v1/options_pb.ts";
import type { Chain, Implementation } from "../chain/handler-chain.ts";
import { Procedure, serveUnary } from "./procedure.ts";
import { writeRefusal } from "./refusal.ts";
import { formatOfType, jsonOptions } from "./rpc-format.ts";
import { serveByLibrary, streamHandler } from "./stream-call.ts";

/** A service that needs no key and is written for connect-node, such as gRPC health. */
export type PublicService = { readonly service: DescService; readonly register: (router: ConnectRouter) => void };

export type ConnectHandlerOptions = {
  readonly implementations: readonly Implementation[];
  readonly publicServices: readonly PublicService[];
  readonly chain: Chain;
  readonly limits: Limits;
};

/** How long the process does other things between two answers of public services. */
const publicPauseMs = 1;

/** Serves the given services over Connect, gRPC and gRPC-Web. */
export function createConnectHandler(options: ConnectHandlerOptions): ProtocolHandler {
  const procedures = new Map([...unaryProcedures(options), ...libraryProcedures(options)]);
  return {
    only: { paths: procedures, type: /application\/grpc/i },
    match: (head) => procedures.get(head.path)?.route(head) ?? unknownMethod(head),
  };
}

function* unaryProcedures({ implementations, chain, limits }: ConnectHandlerOptions) {
  for (const method of implementations.flatMap(({ handlers }) => [...handlers.keys()])) {
    if (method.methodKind !== "unary") {
      continue;
    }
    const serve = serveUnary(method, { chain, limits });
    yield [createMethodUrl("/", method), new Procedure({ method, access: scopeOf(method), serve })] as const;
  }
}

function* libraryProcedures({ implementations, publicServices, chain, limits }: ConnectHandlerOptions) {
  const router = createConnectRouter({
    jsonOptions,
    acceptCompression: [compressionGzip],
    readMaxBytes: limits.transportBytesMax,
    writeMaxBytes: limits.transportBytesMax,
  });
  for (const { register } of publicServices) {
    register(router);
  }
  for (const method of implementations.flatMap(({ handlers }) => [...handlers.keys()])) {
    if (method.methodKind === "unary") {
      continue;
    }
    if (!isServerStreaming(method)) {
      throw new Error(`${method.name} takes a stream, which the chain cannot`);
    }
    router.rpc(method, streamHandler(method, chain));
  }
  const pacer = new AddressPacer(publicPauseMs);
  const isPublic = new Set(publicServices.map(({ service }) => service));
  for (const handler of router.handlers) {
    const { method, requestPath } = handler;
    const isOpen = isPublic.has(handler.service);
    const serve = serveByLibrary({ handler, limits, pacer: isOpen ? pacer : undefined });
    yield [requestPath, new Procedure({ method, access: isOpen ? "public" : scopeOf(method), serve })] as const;
  }
}

function scopeOf(method: DescMethod): Scope {
  if (!hasOption(method, scope)) {
    throw new Error(`${method.parent.typeName}.${method.name} names no scope`);
  }
  return getOption(method, scope);
}

function isServerStreaming(method: DescMethod): method is DescMethodServerStreaming {
  return method.methodKind === "server_streaming";
}

/** A gRPC client that asks for a method which is not served here is refused in its own protocol. */
function unknownMethod(head: RequestHead): Route | undefined {
  const type = head.headers.get("content-type")?.[0] ?? "";
  const format = /^\s*application\/grpc/i.test(type) ? formatOfType(type) : undefined;
  if (format === undefined) {
    return undefined;
  }
  const path = head.path.slice(0, 200);
  const error = new RequestError("ROUTE_NOT_FOUND", `${path} is not served here.`, { metadata: { path } });
  const refuse: Route["serve"] = async (exchange: HttpExchange, call) =>
    writeRefusal(error, { exchange, format, call });
  return { access: "public", protocol: format.protocol, serve: refuse, refuse };
}

// The door for Connect, gRPC and gRPC-Web, on connect-node's handlers.
//
// Connect writes replies, errors and trailers in the caller's protocol and keeps its deadlines. The head of a request is
// judged here, so that each refusal has a reason; so is the message (`request-message.ts`), since it has to pass the
// byte scanners before anything is parsed, and Connect is given an empty one in its place. A refusal travels by
// Connect's request gate, but for that of a request which speaks none of the three protocols: it leaves `match`.

import {
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  getOption,
  hasOption,
  type Message,
} from "@bufbuild/protobuf";
import { type ConnectRouter, createConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";
import type { Logger } from "pino";
import { AddressPacer } from "../../domain/http/address-pacer.ts";
import type { Call } from "../../domain/http/call.ts";
import type { HttpExchange, ProtocolHandler, RequestHead, Route } from "../../domain/http/protocol-handler.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import { type Scope, scope } from "../../gen/flowcall/v1/options_pb.ts";
import type { Chain, Implementation } from "../chain/handler-chain.ts";
import { isLarge } from "../chain/large-message.ts";
import { connectErrorOf } from "./connect-error.ts";
import { callKey, Procedure, refusalKey, requestKey } from "./procedure.ts";
import { formatOfType } from "./rpc-format.ts";
import { writeTrailersOnly } from "./rpc-reply.ts";

/** A service that needs no key and speaks to Connect itself, such as gRPC health. */
export type OpenService = { readonly service: DescService; readonly register: (router: ConnectRouter) => void };

export type ConnectHandlerOptions = {
  readonly implementations: readonly Implementation[];
  readonly open: readonly OpenService[];
  readonly chain: Chain;
  readonly limits: Limits;
  readonly log: Logger;
};

/** How long the process does other things between two answers to calls that need no key. */
const openPauseMs = 1;

/** Serves the given services over Connect, gRPC and gRPC-Web. */
export function createConnectHandler({
  implementations,
  open,
  chain,
  limits,
  log,
}: ConnectHandlerOptions): ProtocolHandler {
  const router = createConnectRouter({
    jsonOptions: { alwaysEmitImplicit: true },
    acceptCompression: [compressionGzip],
    readMaxBytes: limits.transportBytesMax,
    writeMaxBytes: limits.transportBytesMax,
    requestGate: (context) => {
      const refusal = context.values.get(refusalKey);
      if (refusal !== undefined) throw connectErrorOf(refusal);
    },
  });
  for (const { register } of open) register(router);
  for (const { handlers } of implementations) {
    for (const method of handlers.keys()) {
      if (isUnary(method)) router.rpc(method, unaryOf(method, chain));
      else if (isServerStreaming(method)) router.rpc(method, streamOf(method, chain));
      else throw new Error(`${method.name} takes a stream, which the chain cannot`);
    }
  }

  const turns = new AddressPacer(openPauseMs);
  const openServices = new Set(open.map(({ service }) => service));
  const procedures = new Map<string, Procedure>();
  for (const handler of router.handlers) {
    const isOpen = openServices.has(handler.service);
    const access = isOpen ? "public" : scopeOf(handler.method);
    procedures.set(handler.requestPath, new Procedure({ handler, access, limits, log, ...(isOpen && { turns }) }));
  }
  return {
    match: (head) => procedures.get(head.path)?.route(head) ?? unknownMethod(head),
  };
}

function scopeOf(method: DescMethod): Scope {
  if (!hasOption(method, scope)) throw new Error(`${method.parent.typeName}.${method.name} names no scope`);
  return getOption(method, scope);
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

function isServerStreaming(method: DescMethod): method is DescMethodServerStreaming {
  return method.methodKind === "server_streaming";
}

function unaryOf(method: DescMethod, { invoke }: Chain) {
  return async (_empty: Message, context: HandlerContext): Promise<Message> => {
    const { call, request } = incoming(context);
    try {
      const message = await invoke(method, request, call);
      if (isLarge(message)) await call.turn?.();
      return message;
    } catch (error) {
      throw errorOf(error);
    } finally {
      sendHeaders(call, context);
    }
  };
}

function streamOf(method: DescMethod, { invokeStream }: Chain) {
  return async function* (_empty: Message, context: HandlerContext): AsyncGenerator<Message> {
    const { call, request } = incoming(context);
    try {
      for await (const message of invokeStream(method, request, call)) {
        sendHeaders(call, context);
        if (isLarge(message)) await call.turn?.();
        yield message;
      }
      // Where the deadline has ended it, the caller is told so and not that there is no more.
      context.signal.throwIfAborted();
    } catch (error) {
      throw errorOf(error);
    } finally {
      sendHeaders(call, context);
    }
  };
}

function incoming({ values, signal }: HandlerContext): { readonly call: Call; readonly request: Message } {
  const call = values.get(callKey);
  const request = values.get(requestKey);
  if (call === undefined || request === undefined) throw new Error("a call reached Connect without its message");
  // Connect's signal aborts when the call's own does, and at the call's deadline too.
  return { call: { ...call, signal }, request };
}

/** Headers count until the first message has gone. */
function sendHeaders({ replyHeaders }: Call, { responseHeader }: HandlerContext): void {
  for (const [name, value] of replyHeaders) responseHeader.set(name, value);
}

function errorOf(error: unknown): unknown {
  return error instanceof RequestError ? connectErrorOf(error) : error;
}

/** A gRPC client that asks for a method which is not served here is told so in its own protocol. */
function unknownMethod(head: RequestHead): Route | undefined {
  const format = formatOfType(head.headers.get("content-type")?.[0] ?? "");
  if (format === undefined || format.protocol === "connect") return undefined;
  const path = head.path.slice(0, 200);
  const error = new RequestError("ROUTE_NOT_FOUND", `${path} is not served here.`, { metadata: { path } });
  const refuse = async (exchange: HttpExchange): Promise<void> => writeTrailersOnly(error, format, exchange);
  return { access: "public", protocol: format.protocol, serve: refuse, refuse };
}

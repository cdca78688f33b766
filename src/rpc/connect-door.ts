// The door for Connect, gRPC and gRPC-Web, on connect-node's handlers.
//
// Connect writes replies, errors and trailers in the caller's protocol and keeps its deadlines. The request message is
// read here (`request-message.ts`), since it has to pass the byte scanners before anything is parsed; Connect is given
// an empty message in its place. A refusal from before the body travels by Connect's request gate.

import type { DescMethod, DescMethodUnary, DescService, Message } from "@bufbuild/protobuf";
import { getOption, hasOption } from "@bufbuild/protobuf";
import {
  Code,
  type ConnectRouter,
  type ContextValues,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import { universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { Logger } from "pino";
import type { Call, Invoke, Protocol } from "../domain/call.ts";
import type { Door, Exchange, RequestHead, Route } from "../domain/door.ts";
import type { Limits } from "../domain/limits.ts";
import { RequestError } from "../domain/request-error.ts";
import { type Scope, scope } from "../gen/flowcall/v1/options_pb.ts";
import { connectErrorOf } from "./connect-error.ts";
import type { Implementation } from "./handler-chain.ts";
import { emptyBody, readRequestMessage } from "./request-message.ts";

/** A service that needs no key and speaks to Connect itself, such as gRPC health. */
export type OpenService = { readonly service: DescService; readonly register: (router: ConnectRouter) => void };

export type ConnectDoorOptions = {
  readonly implementations: readonly Implementation[];
  readonly open: readonly OpenService[];
  readonly invoke: Invoke;
  readonly limits: Limits;
  readonly log: Logger;
};

type UniversalHandler = ConnectRouter["handlers"][number];

const callKey = createContextKey<Call | undefined>(undefined);
const requestKey = createContextKey<Message | undefined>(undefined);
const refusalKey = createContextKey<RequestError | undefined>(undefined);

/** Serves the given services over Connect, gRPC and gRPC-Web. */
export function createConnectDoor({ implementations, open, invoke, limits, log }: ConnectDoorOptions): Door {
  const router = createConnectRouter({
    jsonOptions: { alwaysEmitImplicit: true },
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
      if (!isUnary(method)) throw new Error(`${method.name} streams, which the chain cannot`);
      router.rpc(method, unaryOf(method, invoke));
    }
  }

  const openServices = new Set(open.map(({ service }) => service));
  const routes = new Map<string, (head: RequestHead) => Route>();
  for (const handler of router.handlers) {
    const isOpen = openServices.has(handler.service);
    const access = isOpen ? "public" : scopeOf(handler.method);
    routes.set(handler.requestPath, (head) => connectRoute({ handler, head, access, isOpen, limits, log }));
  }
  return {
    match: (head) => routes.get(head.path)?.(head) ?? (isGrpc(contentType(head)) ? unknownMethod(head) : undefined),
  };
}

function scopeOf(method: DescMethod): Scope {
  if (!hasOption(method, scope)) throw new Error(`${method.parent.typeName}.${method.name} names no scope`);
  return getOption(method, scope);
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

function unaryOf(method: DescMethod, invoke: Invoke) {
  return async (_empty: Message, context: HandlerContext): Promise<Message> => {
    const call = context.values.get(callKey);
    const request = context.values.get(requestKey);
    if (call === undefined || request === undefined) throw new Error("a call reached Connect without its message");
    try {
      return await invoke(method, request, { ...call, signal: AbortSignal.any([call.signal, context.signal]) });
    } catch (error) {
      if (error instanceof RequestError) throw connectErrorOf(error);
      throw error;
    } finally {
      for (const [name, value] of call.replyHeaders) context.responseHeader.set(name, value);
    }
  };
}

type ConnectRouteOptions = {
  readonly handler: UniversalHandler;
  readonly head: RequestHead;
  readonly access: Scope | "public";
  readonly isOpen: boolean;
  readonly limits: Limits;
  readonly log: Logger;
};

function connectRoute({ handler, head, access, isOpen, limits, log }: ConnectRouteOptions): Route {
  const answer = async (exchange: Exchange, call: Call, values: ContextValues, isRaw: boolean): Promise<void> => {
    // A GET was read from its query, and is answered as the POST that it stands for.
    const header = new Headers();
    for (const [name, all] of head.headers) for (const value of all) header.append(name, value);
    const type = head.method === "GET" ? queryContentType(head) : contentType(head);
    header.set("content-type", type);
    if (!isRaw) for (const name of ["content-encoding", "content-length"]) header.delete(name);
    const reply = await handler({
      httpVersion: exchange.request.httpVersion,
      method: head.method === "GET" ? "POST" : head.method,
      url: `http://flowcall${head.path}`,
      header,
      body: isRaw ? exchange.request : emptyBody(type),
      signal: call.signal,
      contextValues: values,
    });
    await writeReply(reply, exchange.response);
  };
  const refuse = async (exchange: Exchange, call: Call, error: RequestError): Promise<void> => {
    await answer(exchange, call, createContextValues().set(refusalKey, error), false);
  };

  return {
    access,
    protocol: protocolOf(contentType(head)),
    refuse,
    serve: async (exchange, call) => {
      if (isOpen) {
        await answer(exchange, call, createContextValues(), true);
        return;
      }
      let request: Message;
      try {
        request = await readRequestMessage({ exchange, head, schema: handler.method.input, limits });
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        log.debug({ rpc: handler.method.name, requestId: call.requestId, reason: error.reason }, "call refused");
        await refuse(exchange, call, error);
        return;
      }
      await answer(exchange, call, createContextValues().set(callKey, call).set(requestKey, request), false);
    },
  };
}

/** Settles when the reply is out. Connect alone would not say so: it waits for an event that no response has. */
async function writeReply(reply: Awaited<ReturnType<UniversalHandler>>, response: Exchange["response"]): Promise<void> {
  const closed = new Promise<void>((resolve) => response.once("close", resolve));
  await Promise.race([universalResponseToNodeResponse(reply, response), closed]);
}

/** A gRPC client that asks for a method which is not served here is told so in its own protocol. */
function unknownMethod(head: RequestHead): Route {
  const refuse = async ({ response }: Exchange): Promise<void> => {
    response.statusCode = 200;
    response.setHeader("content-type", contentType(head));
    response.setHeader("grpc-status", String(Code.Unimplemented));
    response.setHeader("grpc-message", encodeURIComponent(`${head.path} is not served here`));
    response.end();
  };
  return { access: "public", protocol: protocolOf(contentType(head)), serve: refuse, refuse };
}

function contentType(head: RequestHead): string {
  return head.headers.get("content-type")?.[0]?.toLowerCase() ?? "";
}

function queryContentType(head: RequestHead): string {
  return `application/${new URLSearchParams(head.query).get("encoding") ?? ""}`;
}

function isGrpc(type: string): boolean {
  return type.startsWith("application/grpc");
}

function protocolOf(type: string): Protocol {
  if (type.startsWith("application/grpc-web")) return "grpc-web";
  return isGrpc(type) ? "grpc" : "connect";
}

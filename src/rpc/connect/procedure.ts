import { Readable } from "node:stream";
import { create, type DescMessage, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { type ConnectRouter, type ContextValues, createContextKey, createContextValues } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { AddressPacer } from "../../domain/http/address-pacer.ts";
import type { Call } from "../../domain/http/call.ts";
import type { HttpExchange, RequestHead, Route } from "../../domain/http/protocol-handler.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import { openMessages } from "./open-messages.ts";
import { bodyOf, readRequestMessage } from "./request-message.ts";
import { allowedMethods, type RpcFormat, rpcFormat, typeOfFormat } from "./rpc-format.ts";
import { writeRpcReply, writeTrailersOnly } from "./rpc-reply.ts";
import { type RpcTerms, rpcTerms } from "./rpc-terms.ts";

/** What a call brings to Connect's handler beside the message that it is given. */
export const callKey = createContextKey<Call | undefined>(undefined);
export const requestKey = createContextKey<Message | undefined>(undefined);
export const refusalKey = createContextKey<RequestError | undefined>(undefined);

type ProcedureOptions = {
  readonly handler: ConnectRouter["handlers"][number];
  readonly access: Scope | "public";
  /** Given for a method that needs no key: it speaks to Connect itself and not to the chain. */
  readonly turns?: AddressPacer;
  readonly limits: Limits;
  readonly log: Logger;
};

/** One request for a procedure. */
type Request = {
  readonly head: RequestHead;
  readonly format: RpcFormat;
  readonly exchange: HttpExchange;
  readonly call: Call;
};

/** What Connect's handler is given of a request. */
type Given = {
  readonly values: ContextValues;
  readonly body: AsyncIterable<Uint8Array>;
  readonly terms?: RpcTerms;
};

/** One method at its path. */
export class Procedure {
  readonly #options: ProcedureOptions;

  constructor(options: ProcedureOptions) {
    this.#options = options;
  }

  /** Throws RequestError where the request speaks none of the protocols. */
  route(head: RequestHead): Route {
    const { handler, access } = this.#options;
    if (head.method === "OPTIONS") return optionsRoute(allowedMethods(handler.method));
    const format = rpcFormat(handler.method, head);
    return {
      access,
      protocol: format.protocol,
      isStream: handler.method.methodKind !== "unary",
      serve: (exchange, call) => this.#serve({ head, format, exchange, call }),
      refuse: (exchange, call, error) => this.#refuse({ head, format, exchange, call }, error),
    };
  }

  async #serve(request: Request): Promise<void> {
    const { handler, log } = this.#options;
    try {
      await this.#answer(request, await this.#given(request));
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      log.debug({ rpc: handler.method.name, requestId: request.call.requestId, reason: error.reason }, "call refused");
      await this.#refuse(request, error);
    }
  }

  async #given({ head, format, exchange, call }: Request): Promise<Given> {
    const { handler, turns, limits } = this.#options;
    const { input, methodKind } = handler.method;
    const terms = rpcTerms(head, format);
    if (methodKind === "bidi_streaming" || methodKind === "client_streaming") {
      return { values: createContextValues(), body: this.#streamedBody({ exchange, format, call }, terms), terms };
    }
    const deadline = terms.timeoutMs === undefined ? undefined : performance.now() + terms.timeoutMs;
    const limit =
      turns === undefined
        ? { name: "transport_bytes", value: limits.transportBytesMax }
        : { name: "open_message_bytes", value: limits.openMessageBytesMax };
    const message = await readRequestMessage({ exchange, head, format, terms, schema: input, limits, limit });
    await turns?.take(exchange.address);
    const values = createContextValues()
      .set(callKey, deadline === undefined ? call : { ...call, deadline })
      .set(requestKey, message);
    const given = turns === undefined ? create(input) : message;
    return { values, body: bodyOf(encode(input, given, format), format), terms };
  }

  /** The messages of a call that streams, as they come. */
  #streamedBody({ exchange, format, call }: Omit<Request, "head">, terms: RpcTerms): AsyncIterable<Uint8Array> {
    const { turns, limits } = this.#options;
    if (turns === undefined || format.isText || !("stream" in exchange.request)) {
      throw new RequestError("VALIDATION_ERROR", "This method streams both ways; call it by gRPC over HTTP/2.");
    }
    return openMessages({
      exchange,
      terms,
      signal: call.signal,
      bytesMax: limits.openMessageBytesMax,
      streamMs: limits.reflectionMs,
      turn: () => turns.take(exchange.address),
    });
  }

  async #refuse(request: Request, error: RequestError): Promise<void> {
    // Anybody can be refused here as often as they like, so by the shortest way.
    if (this.#options.turns !== undefined && request.format.protocol === "grpc") {
      writeTrailersOnly(error, request.format, request.exchange);
      return;
    }
    // Set here: Connect takes the names that it writes itself out of an error's headers.
    for (const [name, value] of Object.entries(error.details.headers ?? {}))
      request.exchange.response.setHeader(name, value);
    // The gate refuses before a body is looked at.
    await this.#answer(request, { values: createContextValues().set(refusalKey, error), body: Readable.from([]) });
  }

  async #answer({ head, format, exchange, call }: Request, { values, body, terms }: Given): Promise<void> {
    const header = new Headers();
    for (const [name, all] of head.headers) {
      if (!judged.has(name)) for (const value of all) header.append(name, value);
    }
    header.set("content-type", typeOfFormat(format));
    for (const [name, value] of termHeaders(format, terms)) header.set(name, value);
    const reply = await this.#options.handler({
      httpVersion: "2",
      // A GET was read from its query, and is answered as the POST that it stands for.
      method: "POST",
      url: `http://flowcall${head.path}`,
      header,
      body,
      signal: call.signal,
      contextValues: values,
    });
    await writeRpcReply(reply, { exchange, format, stallMs: this.#options.limits.streamStallMs });
  }
}

/** Request headers that were judged before Connect sees the call; it is given what they came to. */
const judged: ReadonlySet<string> = new Set([
  "content-type",
  "content-length",
  "content-encoding",
  "connect-content-encoding",
  "grpc-encoding",
  "connect-timeout-ms",
  "grpc-timeout",
]);

/** The headers by which Connect is told the terms, in its own spelling. */
function* termHeaders({ protocol }: RpcFormat, terms: RpcTerms | undefined): Iterable<readonly [string, string]> {
  if (terms?.isPacked === true) yield [protocol === "connect" ? "connect-content-encoding" : "grpc-encoding", "gzip"];
  if (terms?.timeoutMs === undefined) return;
  const ms = String(Math.ceil(terms.timeoutMs));
  yield protocol === "connect" ? ["connect-timeout-ms", ms] : ["grpc-timeout", `${ms}m`];
}

function encode(schema: DescMessage, message: Message, { codec }: RpcFormat): Uint8Array {
  return codec === "json" ? Buffer.from(toJsonString(schema, message)) : toBinary(schema, message);
}

function optionsRoute(allow: string): Route {
  const serve = async ({ response }: HttpExchange): Promise<void> => {
    response.statusCode = 204;
    response.setHeader("allow", allow);
    response.end();
  };
  return { access: "public", protocol: "connect", serve, refuse: serve };
}

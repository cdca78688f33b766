import {
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  hasOption,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { scope } from "../../gen/flowcall/v1/options_pb.ts";
import { usageError } from "../output/cli-error.ts";
import { keyOf, type Settings } from "../settings/settings.ts";

/** Longer than the server's longest wait. */
const unaryMs = 90_000;

export type CallOptions = { readonly headers?: Headers; readonly timeoutMs?: number; readonly signal?: AbortSignal };

/** Calls one server with one key, by Connect over HTTP/1.1, which every proxy forwards. */
export class Client {
  readonly settings: Settings;
  readonly #transport: Transport;

  constructor(settings: Settings) {
    this.settings = settings;
    this.#transport = createConnectTransport({ baseUrl: settings.url, httpVersion: "1.1" });
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    { headers, timeoutMs = unaryMs, signal }: CallOptions = {},
  ): Promise<MessageShape<O>> {
    const reply = await this.#transport.unary(method, signal, timeoutMs, this.#headers(method, headers), request);
    return reply.message;
  }

  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    requests: readonly MessageInitShape<I>[],
    { headers, signal }: CallOptions = {},
  ): AsyncIterable<MessageShape<O>> {
    const transport = this.#streaming(method.methodKind);
    const reply = await transport.stream(method, signal, undefined, this.#headers(method, headers), iterate(requests));
    yield* reply.message;
  }

  /** Calls a method of any kind by its descriptor. */
  async *call(method: DescMethod, requests: readonly Message[], options: CallOptions = {}): AsyncIterable<Message> {
    if (method.methodKind === "server_streaming" || method.methodKind === "unary") {
      const [request] = requests;
      if (request === undefined || requests.length > 1) {
        throw usageError(`${method.name} takes one request message, not ${requests.length}.`);
      }
      if (method.methodKind === "unary") {
        // The descriptor's own type is that of any method, and its messages are of any type.
        yield await this.unary(method as DescMethodUnary, request, options);
        return;
      }
    }
    yield* this.stream(method as DescMethodStreaming, requests, options);
  }

  /** A stream of requests needs HTTP/2, so gRPC. */
  #streaming(kind: DescMethodStreaming["methodKind"]): Transport {
    return kind === "server_streaming" ? this.#transport : createGrpcTransport({ baseUrl: this.settings.url });
  }

  /** Adds the key. A method without a scope needs none. */
  #headers(method: DescMethod, given?: Headers): Headers {
    const headers = new Headers(given);
    if (headers.has("x-api-key")) {
      return headers;
    }
    if (hasOption(method, scope)) {
      headers.set("x-api-key", keyOf(this.settings));
    }
    return headers;
  }
}

async function* iterate<T>(items: readonly T[]): AsyncIterable<T> {
  yield* items;
}

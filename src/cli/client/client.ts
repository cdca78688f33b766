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

/** Longer than any call waits by itself. */
const unaryMs = 90_000;

export type CallOptions = { readonly headers?: Headers; readonly timeoutMs?: number; readonly signal?: AbortSignal };

/** Calls one server with one key. Speaks Connect over HTTP/1.1, which every proxy passes on. */
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

  /** Calls a method of any kind that is known by its descriptor alone. */
  async *call(method: DescMethod, requests: readonly Message[], options: CallOptions = {}): AsyncIterable<Message> {
    if (method.methodKind === "server_streaming" || method.methodKind === "unary") {
      const [request] = requests;
      if (request === undefined || requests.length > 1) {
        throw usageError(`${method.name} takes one request message, and was given ${requests.length}.`);
      }
      if (method.methodKind === "unary") {
        // The descriptor's own type is that of any method, and its messages are of any type.
        yield await this.unary(method as DescMethodUnary, request, options);
        return;
      }
    }
    yield* this.stream(method as DescMethodStreaming, requests, options);
  }

  /** Requests that stream need HTTP/2. */
  #streaming(kind: DescMethodStreaming["methodKind"]): Transport {
    return kind === "server_streaming" ? this.#transport : createGrpcTransport({ baseUrl: this.settings.url });
  }

  /** A method without a scope needs no key. */
  #headers(method: DescMethod, given?: Headers): Headers {
    const headers = new Headers(given);
    if (headers.has("x-api-key")) return headers;
    if (hasOption(method, scope)) headers.set("x-api-key", keyOf(this.settings));
    return headers;
  }
}

async function* iterate<T>(items: readonly T[]): AsyncIterable<T> {
  yield* items;
}

/*
 * The protocol handler for REST: HTTP and JSON transcoding by the `google.api.http` options of the proto files
 * (google/api/http.proto).
 *
 * - Nothing here knows a method, a message or a field by its name. How a reply becomes REST stands in a table from above.
 * - It is the last handler and has a route for each request, if only one that answers 404.
 * - A body is read after the route, the key and the media type are known, and its bytes are scanned before they are parsed.
 * - A method that answers a stream is served as Server-Sent Events (`event-endpoint.ts`).
 */

import { type DescMessage, type DescService, type Message, ScalarType } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { Clock } from "../domain/clock.ts";
import type { Call, Invoke, InvokeStream } from "../domain/http/call.ts";
import { namesTag } from "../domain/http/entity-tags.ts";
import type { HttpExchange, ProtocolHandler, RequestHead, Route } from "../domain/http/protocol-handler.ts";
import type { Limits } from "../domain/limits.ts";
import { RequestError } from "../domain/request-error.ts";
import { bodyType, typeRefused } from "./content-type.ts";
import { envelope, errorReply, restRefusal } from "./error-envelope.ts";
import { EventEndpoint } from "./event-endpoint.ts";
import { restReplies } from "./execute-reply.ts";
import { type HttpBinding, httpBindings } from "./http-binding.ts";
import { type HttpReply, writeReply } from "./http-reply.ts";
import { writeFieldJson, writeJson } from "./json-writer.ts";
import { type ReplyTable, restReply } from "./reply-table.ts";
import { RouteTrie } from "./route-trie.ts";
import { Transcoder } from "./transcode.ts";

export type GatewayOptions = {
  readonly services: readonly DescService[];
  readonly invoke: Invoke;
  readonly invokeStream: InvokeStream;
  readonly limits: Limits;
  readonly clock: Clock;
  /** How replies become REST; `restReplies` by default. */
  readonly replies?: ReplyTable;
  /** Called with each error that is a fault of ours, of which the caller learns the request id alone. */
  readonly report: (error: unknown, call: Call) => void;
};

/** Throws where the options of a proto file cannot be served, or put two methods on one path. */
export function createGateway(options: GatewayOptions): ProtocolHandler {
  const routes = new RouteTrie<Endpoint | EventEndpoint>();
  for (const binding of httpBindings(options.services)) {
    const isStream = binding.method.methodKind === "server_streaming";
    const endpoint = isStream ? new EventEndpoint(binding, options) : new Endpoint(binding, options);
    routes.add(binding.template, binding.verb, endpoint);
  }
  return {
    match(head) {
      const found = routes.find(head.path, head.method === "HEAD" ? "GET" : head.method);
      switch (found.kind) {
        case "route":
          return found.route.route(head, found.segments);
        case "otherMethods": {
          const allow = allowed(found.methods);
          return head.method === "OPTIONS"
            ? publicRoute(() => optionsReply(allow))
            : refusing(methodNotAllowed(head, allow));
        }
        case "nothing":
          return refusing(routeNotFound(head));
      }
    },
  };
}

/** Each step of reading a shorter body takes less time than to wait for another turn. */
const largeBytesMin = 64 * 1024;

/** A request whose body is not read yet. */
type Incoming = { readonly head: RequestHead; readonly segments: readonly string[]; readonly exchange: HttpExchange };

/** One method at one path. */
class Endpoint {
  readonly #binding: HttpBinding;
  readonly #options: GatewayOptions;
  readonly #transcoder: Transcoder;

  constructor(binding: HttpBinding, options: GatewayOptions) {
    this.#binding = binding;
    this.#options = options;
    this.#transcoder = new Transcoder(binding, options.limits);
  }

  route(head: RequestHead, segments: readonly string[]): Route {
    return {
      access: this.#binding.scope,
      protocol: "rest",
      serve: async (exchange, call) => {
        const reply = await this.#reply({ head, segments, exchange }, call).catch((error: unknown) =>
          errorReply(
            restRefusal(error, () => this.#options.report(error, call)),
            call,
          ),
        );
        await writeReply(exchange, reply, call);
      },
      refuse: (exchange, call, error) => writeReply(exchange, errorReply(error, call), call),
    };
  }

  async #reply(incoming: Incoming, call: Call): Promise<HttpReply> {
    const { head } = incoming;
    const request = await this.#readRequest(incoming, call);
    const message = await this.#options.invoke(this.#binding.method, request, call);
    const reply = restReply(message, this.#options.replies ?? restReplies);
    if (reply.body.kind === "error") {
      return { ...envelope(reply.status, reply.body.error, call), headers: reply.headers ?? {} };
    }
    const { method, responseField } = this.#binding;
    const written =
      responseField === undefined
        ? writeJson(method.output, reply.body.message)
        : writeFieldJson(method.output, responseField, reply.body.message);
    const tag = etagHeader(method.output, message);
    const headers = { ...tag, ...reply.headers };
    if (tag.etag !== undefined && isRead(head) && namesTag(head.headers.get("if-none-match") ?? [], tag.etag)) {
      return { status: 304, headers, body: "" };
    }
    return { status: reply.status, type: "application/json", body: written, headers };
  }

  /** Of a large body the steps take turns with others: it is parsed in one, made a message in another, and handled in a third. */
  async #readRequest({ head, segments, exchange }: Incoming, call: Call): Promise<Message> {
    const body = await this.#readBody(head, exchange);
    const parsed = this.#transcoder.body.parse(body);
    const isLarge = body.length >= largeBytesMin;
    if (isLarge) {
      await call.turn?.();
    }
    const request = this.#transcoder.requestOf({ segments, query: head.query }, parsed);
    if (isLarge) {
      await call.turn?.();
    }
    return request;
  }

  async #readBody(head: RequestHead, exchange: HttpExchange): Promise<Uint8Array> {
    const { isRead, bytesMax, limitName } = this.#transcoder.body;
    if (!isRead) {
      return new Uint8Array();
    }
    const type = bodyType(head);
    if (type === "none") {
      return new Uint8Array();
    }
    const body = await exchange.readBody(bytesMax, { name: limitName, value: bytesMax });
    // HTTP/2 may send a body that the headers do not announce.
    if (type === "untyped" && body.length > 0) {
      throw typeRefused("none");
    }
    return body;
  }
}

/** The `ETag` header of a reply whose message has a string field `etag`, which holds the quotes too. */
function etagHeader(schema: DescMessage, message: Message): { readonly etag?: string } {
  const field = schema.fields.find(({ name }) => name === "etag");
  if (field?.fieldKind !== "scalar" || field.scalar !== ScalarType.STRING) {
    return {};
  }
  const etag = reflect(schema, message).get(field);
  return typeof etag === "string" && /^"[\x21\x23-\x7e]*"$/.test(etag) ? { etag } : {};
}

function isRead({ method }: RequestHead): boolean {
  return method === "GET" || method === "HEAD";
}

/** A route that refuses each request alike. */
function refusing(error: RequestError): Route {
  return publicRoute((call) => errorReply(error, call));
}

/** A route that needs no key and has one reply. */
function publicRoute(reply: (call: Call) => HttpReply): Route {
  return {
    access: "public",
    protocol: "rest",
    serve: (exchange, call) => writeReply(exchange, reply(call), call),
    refuse: (exchange, call, error) => writeReply(exchange, errorReply(error, call), call),
  };
}

function optionsReply(allow: string): HttpReply {
  return { status: 204, headers: { allow }, body: "" };
}

function routeNotFound({ method, path }: RequestHead): RequestError {
  const shown = path.slice(0, 200);
  return new RequestError("ROUTE_NOT_FOUND", `There is nothing at ${shown}; check the path.`, {
    metadata: { method, path: shown },
  });
}

function methodNotAllowed({ method, path }: RequestHead, allow: string): RequestError {
  const shown = path.slice(0, 200);
  return new RequestError("METHOD_NOT_ALLOWED", `${shown} does not take ${method}; it takes ${allow}.`, {
    metadata: { method, path: shown, allow },
  });
}

function allowed(methods: readonly string[]): string {
  return [...methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])), "OPTIONS"].join(", ");
}

/*
 * The protocol handler for REST: HTTP and JSON transcoding by the `google.api.http` options of the proto files
 * (google/api/http.proto).
 *
 * - Nothing here knows a method, a message or a field by its name. How a reply becomes REST stands in a table from above, and the
 *   paths of another form in `v2/rest-forms.ts`.
 * - It is the last handler and has a route for each request, if only one that answers 404.
 * - A body is read after the route, the key and the media type are known, and its bytes are scanned before they are parsed.
 * - A method that answers a stream is served as Server-Sent Events (`event-endpoint.ts`).
 */

import type { DescService } from "@bufbuild/protobuf";
import type { Clock } from "../domain/clock.ts";
import type { Call, Invoke, InvokeStream } from "../domain/http/call.ts";
import type { HttpExchange, ProtocolHandler, RequestHead, Route } from "../domain/http/protocol-handler.ts";
import type { Limits } from "../domain/limits.ts";
import { RequestError } from "../domain/request-error.ts";
import { Endpoint } from "./endpoint.ts";
import { errorReply } from "./error-envelope.ts";
import { EventEndpoint } from "./event-endpoint.ts";
import { restReplies } from "./execute-reply.ts";
import { httpBindings } from "./http-binding.ts";
import { type HttpReply, writeReply } from "./http-reply.ts";
import type { ReplyTable } from "./reply-table.ts";
import { RouteTrie } from "./route-trie.ts";
import { restForms } from "./v2/rest-forms.ts";

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
    const endpoint = isStream
      ? new EventEndpoint(binding, options)
      : new Endpoint(binding, { replies: restReplies, ...options, form: restForms.get(binding.path) });
    routes.add(binding.template, binding.verb, endpoint);
  }
  return {
    match(head) {
      const found = routes.find(head.path, head.method === "HEAD" ? "GET" : head.method);
      switch (found.kind) {
        case "route": {
          const { route: endpoint, segments } = found;
          if (endpoint instanceof EventEndpoint) {
            return endpoint.route(head, segments);
          }
          const serve = endpoint.serve.bind(endpoint, { head, segments });
          const { scope: access, name } = endpoint;
          return { access, protocol: "rest", name, serve, refuse: refuseRest };
        }
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
    refuse: refuseRest,
  };
}

async function refuseRest(exchange: HttpExchange, call: Call, error: RequestError): Promise<void> {
  await writeReply(exchange, errorReply(error, call), call);
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

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { AddressInfo } from "node:net";
import { EventLoopYielder } from "../../src/domain/event-loop-yielder.ts";
import type { Call } from "../../src/domain/http/call.ts";
import type { HttpExchange, ProtocolHandler } from "../../src/domain/http/protocol-handler.ts";
import { RequestError } from "../../src/domain/request-error.ts";
import { Admission } from "../../src/server/admission/admission.ts";
import { DecompressionQueue } from "../../src/server/bodies/decompression-queue.ts";
import { defaultServerLimits } from "../../src/server/limits/server-limits.ts";
import { Exchange } from "../../src/server/requests/http-exchange.ts";

export type GatewayServer = {
  readonly url: string;
  /** How often a body was read. */
  readonly bodiesRead: number;
  /** Settles when the reply of the call that came last is written. */
  lastServed(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/**
 * The least server that a protocol handler can stand behind: HTTP/1.1 or h2c on a port of its own. A key of `bad` is refused, as
 * the real server does before any body is read.
 */
export async function serveHandler(handler: ProtocolHandler, version: "1.1" | "2" = "1.1"): Promise<GatewayServer> {
  let bodiesRead = 0;
  let served: Promise<void> = Promise.resolve();
  const listener = (request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse) => {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const { socket } = request;
    const peers = { connections: new Set<never>(), requests: 0 };
    const use = { pending: new Set<never>(), serving: 0, bytes: 0, version: undefined, onIdle: undefined };
    const exchange: HttpExchange = new Exchange(
      { request, response, connection: { socket, address: "127.0.0.1", peers, ...use } },
      {
        limits: defaultServerLimits,
        admission: new Admission(defaultServerLimits, new EventLoopYielder()),
        decompressions: new DecompressionQueue(),
      },
    );
    exchange.readBody = (bytesMax) => {
      bodiesRead++;
      return readBody(request, bytesMax);
    };
    served = serve(handler, exchange, gone.signal);
  };
  const server = version === "2" ? createHttp2Server(listener) : createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on a port has an address with that port.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    get bodiesRead() {
      return bodiesRead;
    },
    lastServed: () => served,
    [Symbol.asyncDispose]: async () => {
      if ("closeAllConnections" in server) {
        server.closeAllConnections();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function serve(handler: ProtocolHandler, exchange: HttpExchange, signal: AbortSignal): Promise<void> {
  const { request } = exchange;
  const [path = "", ...query] = (request.url ?? "").split("?");
  const headers = requestHeaders(request);
  const call: Call = { requestId: "request-1", protocol: "rest", headers, signal, replyHeaders: new Map() };
  const route = handler.match({ method: request.method ?? "", path, query: query.join("?"), headers });
  if (route === undefined) {
    throw new Error("the last protocol handler has a route for everything");
  }
  if (headers.get("x-api-key")?.[0] === "bad" && route.access !== "public") {
    const error = new RequestError("INVALID_API_KEY", "The API key is not known.");
    await route.refuse(exchange, call, error);
    return;
  }
  await route.serve(exchange, call);
}

function requestHeaders(request: IncomingMessage | Http2ServerRequest): ReadonlyMap<string, readonly string[]> {
  const headers = new Map<string, string[]>();
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = String(request.rawHeaders[index]).toLowerCase();
    if (name.startsWith(":")) {
      continue;
    }
    headers.set(name, [...(headers.get(name) ?? []), String(request.rawHeaders[index + 1])]);
  }
  return headers;
}

async function readBody(request: IncomingMessage | Http2ServerRequest, bytesMax: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    chunks.push(Buffer.from(chunk));
    if (Buffer.concat(chunks).length > bytesMax) {
      throw new RequestError("PAYLOAD_TOO_LARGE", `The body is larger than ${bytesMax} bytes.`);
    }
  }
  return Buffer.concat(chunks);
}

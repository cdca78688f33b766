import http from "node:http";
import http2 from "node:http2";
import type { Socket } from "node:net";
import pino from "pino";
import { onTestFinished } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import { EventLoopYielder } from "../../src/domain/event-loop-yielder.ts";
import type { Call } from "../../src/domain/http/call.ts";
import type { HttpExchange, ProtocolHandler, RequestHead, Route } from "../../src/domain/http/protocol-handler.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { reasons } from "../../src/domain/reason.ts";
import { RequestError } from "../../src/domain/request-error.ts";
import { Scope } from "../../src/gen/flowcall/v1/options_pb.ts";
import { WatchTokens } from "../../src/scheduler/encryption/watch-tokens.ts";
import type { KeyAuthenticator } from "../../src/server/authentication/access-control.ts";
import { WatchTokenAuthenticator } from "../../src/server/authentication/watch-token-authenticator.ts";
import { defaultServerLimits, type ServerLimits } from "../../src/server/limits/server-limits.ts";
import { Server, type ServerOptions } from "../../src/server/server.ts";

export const goodKey = "tk_0123456789abcdef";

export const bytesMax = 64 * 1024;

export const versions = ["http1", "http2"] as const;

export type Version = (typeof versions)[number];

export const principal: Principal = {
  organizationId: "organization",
  environmentId: "environment",
  environment: "test",
  keyId: "key",
  scopes: [Scope.EXECUTE],
};

export type Running = {
  readonly server: Server;
  readonly url: string;
  /** The log so far, one JSON text a line. */
  readonly log: string[];
  /** What the routes were told to do, in order. */
  readonly events: string[];
  /** The server's ends of the connections that refused calls came by. */
  readonly sockets: Socket[];
};

export type RunningOptions = Partial<Omit<ServerOptions, "limits" | "log" | "keys">> & {
  readonly keys?: Partial<KeyAuthenticator>;
  readonly limits?: Partial<ServerLimits>;
  /** Serves `/own`, which needs the scope EXECUTE, and `/stream`, which is said to have no end of its own. */
  readonly serve?: Route["serve"];
};

/** Starts a server with one protocol handler of its own, and stops it when the test ends. */
export async function startServer({ limits, serve, keys, ...options }: RunningOptions = {}): Promise<Running> {
  const log: string[] = [];
  const events: string[] = [];
  const sockets: Socket[] = [];
  const server = new Server({
    host: "127.0.0.1",
    port: 0,
    protocolHandlers: [createHandler({ events, sockets }, serve ?? echo)],
    tokens: new WatchTokenAuthenticator({
      tokens: new WatchTokens(() => [], systemClock),
      keys: { authenticateName: async () => undefined, untilNameEnded: async () => undefined },
      clock: systemClock,
    }),
    keys: {
      authenticate: async (key) => {
        events.push("authenticate");
        return key === goodKey ? principal : undefined;
      },
      untilEnded: (_key, signal) => new Promise((_, reject) => signal.addEventListener("abort", reject)),
      ...keys,
    },
    yielder: new EventLoopYielder(),
    isReady: () => true,
    log: pino({ level: "debug" }, { write: (line) => log.push(line) }),
    limits: { ...defaultServerLimits, drainMs: 500, lingerMs: 200, ...limits },
    ...options,
  });
  await server.start();
  onTestFinished(() => server.stop());
  return { server, url: server.url, log, events, sockets };
}

function createHandler({ events, sockets }: Pick<Running, "events" | "sockets">, own: Route["serve"]): ProtocolHandler {
  const route = (access: Route["access"], serve: Route["serve"]): Route => ({
    access,
    protocol: "connect",
    serve: async (exchange, call) => {
      events.push("serve");
      try {
        await serve(exchange, call);
      } catch (error) {
        if (!(error instanceof RequestError)) {
          throw error;
        }
        refuse(exchange, error);
      }
    },
    refuse: async (exchange, _call, error) => {
      events.push(`refuse ${error.reason}`);
      sockets.push(exchange.request.socket);
      refuse(exchange, error);
    },
  });
  const routes: Record<string, Route> = {
    "/own": route(Scope.EXECUTE, own),
    "/public": route("public", own),
    "/stream": { ...route("public", own), isStream: true },
    "/admin": route(Scope.ADMIN, own),
  };
  return { match: ({ path }: RequestHead) => routes[path] };
}

function refuse({ response }: HttpExchange, { reason, message, details }: RequestError): void {
  response.statusCode = reasons[reason].status;
  for (const [name, value] of Object.entries(details.headers ?? {})) {
    response.setHeader(name, value);
  }
  response.end(JSON.stringify({ reason, message }));
}

async function echo(exchange: HttpExchange, call: Call): Promise<void> {
  const body = await exchange.readBody(bytesMax);
  const { requestId, protocol } = call;
  exchange.response.end(
    JSON.stringify({ text: Buffer.from(body).toString(), requestId, protocol, keyId: call.principal?.keyId }),
  );
}

export type Sent = {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Uint8Array;
};

export type Reply = {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders | http2.IncomingHttpHeaders;
  readonly text: string;
  /** The text read as JSON; an empty object where there is none. */
  readonly json: Record<string, unknown>;
};

/** Sends one request on a connection of its own, with the good key unless another is given. */
export function send(version: Version, url: string, sent: Sent): Promise<Reply> {
  return version === "http1" ? sendHttp1(url, sent) : sendHttp2(url, sent);
}

async function sendHttp1(url: string, { method = "POST", path = "/own", headers, body }: Sent): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const request = http.request(url + path, { method, headers: { "x-api-key": goodKey, ...headers }, agent: false });
  request.once("response", resolve).once("error", reject).end(body);
  const response = await promise;
  const chunks = await response.toArray();
  return toReply(response.statusCode ?? 0, response.headers, chunks);
}

async function sendHttp2(url: string, { method = "POST", path = "/own", headers, body }: Sent): Promise<Reply> {
  const session = http2.connect(url);
  try {
    const { promise, resolve, reject } = Promise.withResolvers<http2.IncomingHttpHeaders>();
    session.once("error", reject);
    const stream = session.request({ ":method": method, ":path": path, "x-api-key": goodKey, ...headers });
    // A connection that is cut may end a stream without an error.
    stream
      .once("response", resolve)
      .once("error", reject)
      .once("close", () => reject(new Error("closed")))
      .end(body);
    const replyHeaders = await promise;
    const chunks = await stream.toArray();
    return toReply(Number(replyHeaders[":status"]), replyHeaders, chunks);
  } finally {
    session.destroy();
  }
}

function toReply(status: number, headers: Reply["headers"], chunks: readonly Uint8Array[]): Reply {
  const text = Buffer.concat(chunks).toString();
  return { status, headers, text, json: text.startsWith("{") ? JSON.parse(text) : {} };
}

import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { gunzipSync, gzipSync } from "node:zlib";
import { create, fromBinary, type JsonValue, type Message, toBinary, toJson } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import { compressionGzip, connectNodeAdapter } from "@connectrpc/connect-node";
import pino from "pino";
import { expect, onTestFinished, test } from "vitest";
import { CallerContext } from "../../src/domain/caller-context.ts";
import type { Call } from "../../src/domain/http/call.ts";
import { defaultLimits } from "../../src/domain/limits.ts";
import { RequestError } from "../../src/domain/request-error.ts";
import {
  type GetIntegrationRequest,
  GetIntegrationRequestSchema,
  IntegrationSchema,
  IntegrationService,
} from "../../src/gen/flowcall/v1/integration_pb.ts";
import { Scope } from "../../src/gen/flowcall/v1/options_pb.ts";
import { createChain } from "../../src/rpc/chain/handler-chain.ts";
import { connectErrorOf } from "../../src/rpc/connect/connect-error.ts";
import { createConnectHandler } from "../../src/rpc/connect/connect-handler.ts";
import { goodKey, principal, startServer } from "../server/running-server.ts";
import { decodePieces, frame, framesOf } from "../support/grpc-web.ts";
import { type HttpAnswer, type HttpRequest, type HttpVersion, sendRequest } from "../support/http-request.ts";

/* Unary calls are read and written by code of ours: here the same requests go to connect-node's own handler too. */

const path = "/flowcall.v1.IntegrationService/GetIntegration";
const bytesMax = 64 * 1024;
const grpc = "application/grpc+proto";
const web = "application/grpc-web+proto";
const { getIntegration } = IntegrationService.method;

type Means = {
  readonly asked: (name: string) => string;
  readonly reply: (name: string, value: string) => void;
  readonly signal: AbortSignal;
};

/** The handler of both: by the slug of the request it echoes, answers much, refuses, or waits for its deadline. */
async function answer({ slug }: GetIntegrationRequest, { asked, reply, signal }: Means) {
  reply("x-reply", "set");
  reply("x-reply-bin", asked("x-asked-bin"));
  if (slug === "refused") {
    throw new RequestError("INTEGRATION_NOT_FOUND", "There is no integration “refused”: 100 %.", {
      metadata: { slug },
      violations: [{ field: "slug", description: "is of nothing", rule: "string.min_len" }],
      retryAfterSeconds: 3,
    });
  }
  if (slug === "slow") {
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
  }
  return create(IntegrationSchema, { slug, name: slug === "large" ? "y".repeat(40_000) : `${asked("x-asked")} ü` });
}

/** The same method twice: behind our server and its chain, and behind connect-node's adapter. */
async function startBoth(): Promise<{ readonly ours: Urls; readonly theirs: Urls }> {
  const handler = (request: Message, { headers, replyHeaders, signal }: Call) =>
    // The map below binds it to the method of these requests.
    answer(request as GetIntegrationRequest, {
      asked: (name) => headers.get(name)?.join(", ") ?? "",
      reply: (name, value) => replyHeaders.set(name, value),
      signal,
    });
  const implementations = [{ service: IntegrationService, handlers: new Map([[getIntegration, handler]]) }];
  const log = pino({ level: "silent" });
  const limits = { ...defaultLimits, transportBytesMax: bytesMax };
  const chain = createChain({ implementations, callers: new CallerContext(), isUnavailable: () => false, log });
  const { url } = await startServer({
    keys: { authenticate: async () => ({ ...principal, scopes: [Scope.READ] }) },
    protocolHandlers: [createConnectHandler({ implementations, publicServices: [], chain, limits })],
  });
  const listener = connectNodeAdapter({
    jsonOptions: { alwaysEmitImplicit: true },
    acceptCompression: [compressionGzip],
    readMaxBytes: bytesMax,
    writeMaxBytes: bytesMax,
    routes: (router) =>
      router.rpc(getIntegration, (request, { requestHeader, responseHeader, signal }) =>
        answer(request, {
          asked: (name) => requestHeader.get(name) ?? "",
          reply: (name, value) => responseHeader.set(name, value),
          signal,
        }).catch((error: unknown) => {
          throw error instanceof RequestError ? connectErrorOf(error) : error;
        }),
      ),
  });
  const theirs = { "1.1": await listen(http.createServer(listener)), "2": await listen(http2.createServer(listener)) };
  return { ours: { "1.1": url, "2": url }, theirs };
}

type Urls = Readonly<Record<HttpVersion, string>>;

async function listen(server: http.Server | http2.Http2Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  // A server that listens on a port has an address with that port.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

type Case = Partial<HttpRequest> & { readonly type?: string; readonly version?: HttpVersion };

async function send(url: Urls, { type, version = "2", headers = [], ...rest }: Case): Promise<JsonValue> {
  const typed = type === undefined ? [] : ([["content-type", type]] as const);
  const asked = [
    ["x-api-key", goodKey],
    ["x-asked", "a"],
    ["x-asked-bin", "AAEC"],
  ] as const;
  const request = { method: "POST", path, ...rest, headers: [...asked, ...typed, ...headers] };
  return shapeOf(await sendRequest(url[version], version, request));
}

/** All of a reply that the protocols give a meaning to, in one form whatever carries it and however it is compressed. */
function shapeOf({ status, headers, body }: HttpAnswer): JsonValue {
  const type = headers.get("content-type") ?? "";
  const metadata = (from: Headers) => ({
    set: from.get("x-reply"),
    bin: from.get("x-reply-bin"),
    retry: from.get("retry-after"),
  });
  if (!type.startsWith("application/grpc")) {
    const data = headers.get("content-encoding") === "gzip" ? gunzipSync(body) : body;
    const message =
      type === "application/proto" ? toJson(IntegrationSchema, fromBinary(IntegrationSchema, data)) : data.toString();
    return { status, type, ...metadata(headers), message, encoding: headers.get("content-encoding") };
  }
  const frames = [...framesOf(type.includes("-text") ? decodePieces(body.toString()) : body)];
  const [message] = frames.filter(({ flags }) => flags < 0x80);
  const trailers = frames.find(({ flags }) => flags >= 0x80);
  const all = new Headers(headers);
  for (const [name, value] of trailers === undefined ? [] : trailerParse(trailers.data)) {
    all.append(name, value);
  }
  const error = findTrailerError(all);
  return {
    status,
    type,
    ...metadata(all),
    message: message === undefined ? null : message.data.toString("base64"),
    isCompressed: message !== undefined && (message.flags & 1) === 1,
    grpcStatus: all.get("grpc-status"),
    code: error === undefined ? null : (Code[error.code] ?? null),
    text: error?.rawMessage ?? null,
    details: all.get("grpc-status-details-bin"),
  };
}

const json = (slug: string) => JSON.stringify({ slug });
const proto = (slug: string) => toBinary(GetIntegrationRequestSchema, create(GetIntegrationRequestSchema, { slug }));
const query = (slug: string, rest = "") =>
  `${path}?connect=v1&encoding=json&message=${encodeURIComponent(json(slug))}${rest}`;

/** A request for each of the formats. */
function inAllFormats(
  slug: string,
  headers: readonly (readonly [string, string])[] = [],
): readonly (readonly [string, Case])[] {
  return [
    ["Connect JSON", { version: "1.1", type: "application/json", headers, body: json(slug) }],
    ["Connect JSON over HTTP/2", { type: "application/json; charset=utf-8", headers, body: json(slug) }],
    ["Connect binary", { type: "application/proto", headers, body: proto(slug) }],
    ["Connect GET", { version: "1.1", method: "GET", path: query(slug), headers }],
    [
      "Connect GET in binary",
      {
        method: "GET",
        path: `${path}?connect=v1&encoding=proto&base64=1&message=${Buffer.from(proto(slug)).toString("base64url")}`,
        headers,
      },
    ],
    ["gRPC", { type: "application/grpc", headers, body: frame(0, proto(slug)) }],
    ["gRPC JSON", { type: "application/grpc+json", headers, body: frame(0, Buffer.from(json(slug))) }],
    ["gRPC-Web", { version: "1.1", type: "application/grpc-web", headers, body: frame(0, proto(slug)) }],
    ["gRPC-Web JSON", { type: "application/grpc-web+json", headers, body: frame(0, Buffer.from(json(slug))) }],
  ];
}

const gzip = [
  ["accept-encoding", "identity, gzip"],
  ["grpc-accept-encoding", "identity,gzip"],
] as const;

test("unary calls are answered as connect-node answers them", async () => {
  const { ours, theirs } = await startBoth();
  const cases: readonly (readonly [string, Case])[] = [
    ...inAllFormats("echo"),
    ...inAllFormats("refused").map(([name, request]) => [`${name}, refused`, request] as const),
    ...inAllFormats("large").map(([name, request]) => [`${name}, large`, request] as const),
    ...inAllFormats("large", gzip).map(([name, request]) => [`${name}, large in gzip`, request] as const),
    ...inAllFormats("echo", gzip).map(([name, request]) => [`${name}, too short for gzip`, request] as const),
    [
      "a request in gzip",
      { type: "application/json", headers: [["content-encoding", "gzip"]], body: gzipSync(json("echo")) },
    ],
    [
      "gRPC in gzip both ways",
      { type: grpc, headers: [["grpc-encoding", "gzip"]], body: frame(1, gzipSync(proto("large"))) },
    ],
    ["gRPC-Web in gzip", { type: web, headers: [["grpc-encoding", "gzip"]], body: frame(1, gzipSync(proto("large"))) }],
    [
      "gRPC, announced and not compressed",
      { type: grpc, headers: [["grpc-encoding", "gzip"]], body: frame(0, proto("echo")) },
    ],
    [
      "GET in gzip",
      {
        method: "GET",
        path: `${path}?encoding=json&base64=1&compression=gzip&message=${gzipSync(json("echo")).toString("base64url")}`,
      },
    ],
    [
      "a timeout of gRPC that is met",
      { type: grpc, headers: [["grpc-timeout", "10S"]], body: frame(0, proto("echo")) },
    ],
    [
      "a timeout of Connect that is met",
      { type: "application/json", headers: [["connect-timeout-ms", "10000"]], body: json("echo") },
    ],
  ];
  const [own, library] = [await sendAll(ours, cases), await sendAll(theirs, cases)];
  expect(own).toEqual(library);
});

async function sendAll(url: Urls, cases: readonly (readonly [string, Case])[]): Promise<Record<string, JsonValue>> {
  const shapes = await Promise.all(cases.map(async ([name, request]) => [name, await send(url, request)] as const));
  return Object.fromEntries(shapes);
}

test("a malformed request is refused by the code that connect-node refuses it by", async () => {
  const { ours, theirs } = await startBoth();
  const framed = frame(0, proto("echo"));
  const slow = { body: frame(0, proto("slow")) };
  const large = "z".repeat(2 * bytesMax);
  const same: readonly (readonly [string, Case])[] = [
    ["half an envelope", { type: grpc, body: framed.subarray(0, 4) }],
    ["an envelope that is cut", { type: web, body: framed.subarray(0, -1) }],
    ["an envelope that is too large", { type: grpc, body: frame(0, Buffer.from(large)) }],
    ["a body that is too large", { type: "application/json", body: json(large) }],
    ["a decompression bomb", { type: grpc, headers: [["grpc-encoding", "gzip"]], body: frame(1, gzipSync(large)) }],
    [
      "a bomb in the body",
      { type: "application/json", headers: [["content-encoding", "gzip"]], body: gzipSync(json(large)) },
    ],
    ["a compressed message that no header declares", { type: grpc, body: frame(1, gzipSync(proto("echo"))) }],
    [
      "a compressed message that is not",
      { type: web, headers: [["grpc-encoding", "gzip"]], body: frame(1, proto("echo")) },
    ],
    ["brotli", { type: grpc, headers: [["grpc-encoding", "br"]], body: framed }],
    ["deflate", { type: web, headers: [["grpc-encoding", "deflate"]], body: framed }],
    ["a body in brotli", { type: "application/json", headers: [["content-encoding", "br"]], body: json("echo") }],
    ["a query in brotli", { method: "GET", path: query("echo", "&compression=br") }],
    ["a timeout of gRPC without a unit", { type: grpc, headers: [["grpc-timeout", "10"]], body: framed }],
    [
      "a timeout of Connect that is negative",
      { type: "application/json", headers: [["connect-timeout-ms", "-1"]], body: json("echo") },
    ],
    ["a deadline of gRPC that passes", { type: grpc, headers: [["grpc-timeout", "20m"]], ...slow }],
    ["a deadline of gRPC-Web that passes", { version: "1.1", type: web, headers: [["grpc-timeout", "20m"]], ...slow }],
    [
      "a deadline of Connect that passes",
      { type: "application/proto", headers: [["connect-timeout-ms", "20"]], body: proto("slow") },
    ],
    ["JSON that ends early", { version: "1.1", type: "application/json", body: "{" }],
    ["JSON of gRPC that ends early", { type: "application/grpc+json", body: frame(0, Buffer.from("{")) }],
    ["another content-type", { type: "text/plain", body: json("echo") }],
    ["a codec that is unknown", { type: "application/grpc+xml", body: framed }],
    ["the content-type of streams", { type: "application/connect+json", body: frame(0, Buffer.from(json("echo"))) }],
    ["a query without an encoding", { method: "GET", path: `${path}?message=%7B%7D` }],
    ["PUT", { method: "PUT", type: "application/json", body: json("echo") }],
    ["GET of gRPC", { method: "GET", type: grpc }],
  ];
  expect(await codesOf(ours, same)).toEqual(await codesOf(theirs, same));

  // The caller is at fault here: it is told so, where connect-node blames the server or the method.
  const different: readonly (readonly [string, Case])[] = [
    ["bytes that are no message", { type: grpc, body: frame(0, Buffer.from([255])) }],
    ["no message", { type: grpc, body: "" }],
    ["two messages", { type: grpc, body: Buffer.concat([framed, framed]) }],
  ];
  expect(new Set(Object.values(await codesOf(ours, different)))).toEqual(new Set(["InvalidArgument"]));
  expect(Object.values(await codesOf(theirs, different))).not.toContain("InvalidArgument");
});

/** The code of each refusal; the status where none of the protocols is spoken. */
async function codesOf(url: Urls, cases: readonly (readonly [string, Case])[]): Promise<Record<string, string>> {
  const shapes = Object.entries(await sendAll(url, cases)).map(([name, shape]): [string, string] => {
    const { status, type, message, code } = Object(shape);
    if (code !== undefined) {
      return [name, code];
    }
    const connectCode = type === "application/json" ? JSON.parse(message).code : undefined;
    return [name, connectCode ?? String(status)];
  });
  return Object.fromEntries(shapes);
}

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { expect, onTestFinished } from "vitest";
import { parseEgressAllow } from "../../../src/engine/http/egress-allow-list.ts";
import type { Resolve } from "../../../src/engine/http/guarded-connector.ts";
import { HttpClient } from "../../../src/engine/http/http-client.ts";
import { HttpFailure } from "../../../src/engine/http/http-failure.ts";
import type { HttpRequest } from "../../../src/engine/http/http-request.ts";

export type Listener = { readonly port: number; readonly sockets: readonly Socket[] };

/** A TCP server that keeps every connection it ever got, until the test ends. */
export async function listen(
  onSocket: (socket: Socket) => void,
  { address = "127.0.0.1", port = 0 } = {},
): Promise<Listener> {
  return keep(createTcpServer(onSocket), { address, port });
}

/** Writes one fixed answer to whatever is asked, then ends the connection. */
export function answering(text: string | Uint8Array): (socket: Socket) => void {
  return (socket) => socket.once("data", () => socket.end(text));
}

export type SeenRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: readonly string[];
  readonly body: string;
  readonly socket: Socket;
};

/** An HTTP server that notes the requests it gets. */
export async function serve(
  onRequest: RequestListener = (_request, response) => response.end("ok"),
): Promise<Listener & { readonly requests: readonly SeenRequest[] }> {
  const requests: SeenRequest[] = [];
  const server = createHttpServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    const { method = "", url: path = "", headers, rawHeaders, socket } = request;
    requests.push({ method, path, headers, rawHeaders, body: Buffer.concat(chunks).toString("latin1"), socket });
    onRequest(request, response);
  });
  return { ...(await keep(server, { address: "127.0.0.1", port: 0 })), requests };
}

/** Lets a server listen until the test ends. */
export async function keep(server: Server, { address, port }: { address: string; port: number }): Promise<Listener> {
  const sockets: Socket[] = [];
  server.on("connection", (socket) => {
    sockets.push(socket);
    // A client that goes away in the middle is what many of these tests are about.
    socket.on("error", () => {});
  });
  server.listen(port, address);
  await once(server, "listening");
  onTestFinished(async () => {
    for (const socket of sockets) {
      socket.destroy();
    }
    server.close();
    await once(server, "close");
  });
  // A TCP server that listens on a port has an AddressInfo, which the type cannot know.
  return { port: (server.address() as AddressInfo).port, sockets };
}

export type ClientOptions = {
  readonly allow?: string;
  readonly resolve?: Resolve;
  readonly environmentsMax?: number;
};

/** A started client. Without a resolver no name leads anywhere, so that no test asks a real one. */
export async function startClient({ allow = "", ...rest }: ClientOptions = {}): Promise<HttpClient> {
  const resolve: Resolve = async (hostname) => {
    throw Object.assign(new Error(`no test resolves ${hostname}`), { code: "ENOTFOUND" });
  };
  const client = new HttpClient({ allow: parseEgressAllow(allow), resolve, ...rest });
  await client.start();
  onTestFinished(() => client.stop());
  return client;
}

/** A request with all that a test does not care about. */
export function request(url: string, rest: Partial<HttpRequest> = {}): HttpRequest {
  return {
    environmentId: "environment",
    method: "GET",
    url,
    headers: [],
    timeoutMs: 20_000,
    signal: new AbortController().signal,
    ...rest,
  };
}

/** The failure that a call has to end with. */
export async function failureOf(call: Promise<unknown>): Promise<HttpFailure> {
  const error = await call.then(
    () => new Error("the call was answered"),
    (cause: unknown) => cause,
  );
  if (error instanceof HttpFailure) {
    return error;
  }
  throw new Error("expected an HttpFailure", { cause: error });
}

/** Counts the sockets that this process opens, wherever they would lead. */
export function countDials(): () => number {
  let dials = 0;
  const count = () => {
    dials += 1;
  };
  subscribe("net.client.socket", count);
  onTestFinished(() => {
    unsubscribe("net.client.socket", count);
  });
  return () => dials;
}

/** What a message may never hold. */
export function expectNoAddress(failure: HttpFailure): void {
  expect(failure.message).not.toMatch(/127\.0\.0\.1|::1\b|10\.0\.0\.1/);
}

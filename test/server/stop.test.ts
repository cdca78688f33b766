import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import { connect } from "node:net";
import type { Writable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import pino from "pino";
import { expect, test } from "vitest";
import { EventLoopYielder } from "../../src/domain/event-loop-yielder.ts";
import type { HttpExchange } from "../../src/domain/http/protocol-handler.ts";
import { RequestError } from "../../src/domain/request-error.ts";
import { defaultServerLimits } from "../../src/server/limits/server-limits.ts";
import { Server } from "../../src/server/server.ts";
import { goodKey, type RunningOptions, send, startServer, versions } from "./running-server.ts";

/** A server whose calls of `/own` wait until they are let go. */
async function startGated(limits: RunningOptions["limits"] = {}) {
  const called = Promise.withResolvers<AbortSignal>();
  const gate = Promise.withResolvers<void>();
  const serve = async ({ response }: HttpExchange, { signal }: { readonly signal: AbortSignal }) => {
    called.resolve(signal);
    await Promise.race([gate.promise, once(signal, "abort")]);
    response.end("done");
  };
  const running = await startServer({ serve, limits: { drainMs: 20_000, ...limits } });
  return { ...running, called: called.promise, letGo: gate.resolve };
}

async function isRefused(url: string): Promise<boolean> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  const refused = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(false)).once("error", () => resolve(true));
  });
  socket.destroy();
  return refused;
}

test("stopping before starting does nothing", async () => {
  const log = pino({ level: "silent" });
  const limits = defaultServerLimits;
  const keys = { authenticate: async () => undefined, untilEnded: async () => undefined };
  const tokens = {
    authenticate: async () => Promise.reject(new Error("no token is asked for")),
    untilEnded: async () => undefined,
  };
  const server = new Server({
    host: "127.0.0.1",
    port: 0,
    protocolHandlers: [],
    keys,
    tokens,
    yielder: new EventLoopYielder(),
    isReady: () => true,
    log,
    limits,
  });
  await server.stop();
  await server.stop();
  expect(() => server.url).toThrow();
});

test("stopping twice at once stops once", async () => {
  const { server, url } = await startServer();
  await Promise.all([server.stop(), server.stop()]);
  await server.stop();
  expect(await isRefused(url)).toBe(true);
});

test.each(versions)("a request in flight is answered while the server stops (%s)", async (version) => {
  const { server, url, called, letGo } = await startGated();
  const reply = send(version, url, {});
  await called;
  const stopped = server.stop();
  while (!(await isRefused(url))) {
    await setImmediate();
  }
  letGo();
  expect(await reply).toMatchObject({ status: 200, text: "done" });
  if (version === "http1") {
    expect((await reply).headers["connection"]).toBe("close");
  }
  await stopped;
});

test("idle connections end at once while a request is in flight", async () => {
  const { server, url, called, letGo } = await startGated();
  const reply = send("http1", url, {});
  await called;

  const agent = new http.Agent({ keepAlive: true });
  const [response] = await once(http.get(`${url}/healthz`, { agent }), "response");
  const kept = response.socket;
  response.resume();
  await once(response, "end");
  const session = http2.connect(url);
  await once(session, "remoteSettings");
  const silent = connect(Number(new URL(url).port), "127.0.0.1").resume();
  await once(silent, "connect");

  const closed = Promise.all([kept, session, silent].map((connection) => once(connection, "close")));
  const stopped = server.stop();
  await closed;
  letGo();
  expect((await reply).status).toBe(200);
  await stopped;
});

test.each(versions)("a request that does not end in time is cut and told so (%s)", async (version) => {
  const { server, url, called } = await startGated({ drainMs: 50 });
  const failed = send(version, url, {}).catch(() => "cut");
  const signal = await called;
  await server.stop();
  expect(signal.aborted).toBe(true);
  expect(await failed).toBe("cut");
});

test.each(versions)("a stream ends at once when the server stops, and its caller is told why (%s)", async (version) => {
  const called = Promise.withResolvers<void>();
  const { server, url } = await startServer({
    limits: { drainMs: 600_000 },
    serve: async (exchange, { signal }) => {
      const response: Writable = exchange.response;
      response.write("first,");
      called.resolve();
      await once(signal, "abort");
      response.end(signal.reason instanceof RequestError ? signal.reason.reason : "gone");
    },
  });
  const reply = send(version, url, { path: "/stream" });
  await called.promise;
  await server.stop();
  expect(await reply).toMatchObject({ status: 200, text: "first,SHUTTING_DOWN" });
});

test("a reply that was cut over HTTP/2 does not hold the stop, and is not taken for whole", async () => {
  const begun = Promise.withResolvers<void>();
  const cut = Promise.withResolvers<void>();
  const { server, url } = await startServer({
    limits: { drainMs: 20_000 },
    serve: async (exchange) => {
      const response: Writable = exchange.response;
      // More than a client that reads nothing lets come.
      response.write(Buffer.alloc(1024 * 1024));
      await begun.promise;
      exchange.cut();
      cut.resolve();
    },
  });
  const session = http2.connect(url).on("error", () => undefined);
  const stream = session.request({ ":path": "/public" }).on("error", () => undefined);
  const closed = once(stream, "close");
  stream.once("response", () => begun.resolve());
  await cut.promise;
  await server.stop();
  await closed;
  expect(stream.rstCode).toBe(http2.constants.NGHTTP2_CANCEL);
  session.destroy();
});

test("a call that ignores its signal does not hold the stop, and is reported", async () => {
  const called = Promise.withResolvers<void>();
  const { server, url, log } = await startServer({
    limits: { drainMs: 10, settleMs: 10 },
    serve: () => {
      called.resolve();
      return new Promise(() => {});
    },
  });
  const failed = send("http1", url, {}).catch(() => "cut");
  await called.promise;
  await server.stop();
  expect(await failed).toBe("cut");
  expect(log.join("")).toContain("calls went on");
});

/** A connection, what has come on it, and what is awaited on it. */
async function dial(url: string, text: string) {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  const failed: unknown[] = [];
  let received = "";
  socket
    .on("error", (error) => failed.push(error))
    .on("data", (chunk) => {
      received += chunk;
    });
  const closed = once(socket, "close");
  await once(socket, "connect");
  socket.write(text);
  const until = async (word: string) => {
    while (!received.includes(word)) {
      await once(socket, "data");
    }
  };
  return { socket, failed, closed, until, received: () => received };
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: a\r\nx-api-key: ${goodKey}\r\n`;

test("a request on its way on an idle connection is told that the server stops, and is not served", async () => {
  const { server, url, events } = await startServer();
  const { socket, failed, closed, until, received } = await dial(url, `${get("/public")}\r\n`);
  await until("200 OK");
  const before = [...events];
  const stopped = server.stop();
  // By now it is ended, and a client that has sent its request before would read the same.
  await until("SHUTTING_DOWN");
  socket.write(`POST /own HTTP/1.1\r\nhost: a\r\nx-api-key: ${goodKey}\r\ncontent-length: 200000\r\n\r\n`);
  socket.write("x".repeat(200_000));
  await closed;
  await stopped;
  expect(failed).toEqual([]);
  expect(events).toEqual(before);
  const [, response = ""] = received().split(/(?=HTTP\/1\.1 503)/);
  expect(response).toContain("retry-after: 1\r\n");
  expect(response).toContain("connection: close\r\n");
});

test("a request that has arrived in part when idle connections end is told that the server stops", async () => {
  const { server, url, events } = await startServer();
  const { socket, closed, until, received } = await dial(url, get("/public"));
  // The server has the first half when it has answered a request that was sent behind it on another connection.
  await send("http1", url, { path: "/healthz", method: "GET" });
  const stopped = server.stop();
  await until("SHUTTING_DOWN");
  socket.write("\r\n");
  await closed;
  await stopped;
  expect(received()).toMatch(/^HTTP\/1\.1 503 /);
  expect(events).toEqual([]);
});

test.each([
  ["/own", "SHUTTING_DOWN"],
  ["/readyz", '{"status":"not ready","cause":"the process stops"}'],
  ["/public", "200 OK"],
])("a request for %s on a connection made before the port closed is answered %s", async (path, word) => {
  const { server, url } = await startServer({ limits: { lastBytesMs: 20_000, drainMs: 20_000 } });
  const { socket, failed, closed, received } = await dial(url, "");
  const stopped = server.stop();
  while (!(await isRefused(url))) {
    await setImmediate();
  }
  socket.write(`${get(path)}\r\n`);
  await closed;
  await stopped;
  expect(failed).toEqual([]);
  expect(received()).toContain(word);
  expect(received().toLowerCase()).toContain("connection: close");
});

test("connections that the machine has made and the server has not taken yet are answered, and not reset", async () => {
  const { server, url } = await startServer();
  const dials = Array.from({ length: 50 }, () => dial(url, `${get("/own")}\r\n`));
  const stopped = server.stop();
  for (const { failed, closed, received } of await Promise.all(dials)) {
    await closed;
    expect(failed).toEqual([]);
    expect(received()).toContain("SHUTTING_DOWN");
  }
  await stopped;
});

test.each(versions)(
  "a stream that the stop ends before it has a head is answered all the same (%s)",
  async (version) => {
    const begun = Promise.withResolvers<void>();
    const { server, url } = await startServer({
      serve: (_exchange, { signal }) => {
        begun.resolve();
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("it is over"))));
      },
    });
    const reply = send(version, url, { path: "/stream" });
    await begun.promise;
    const stopped = server.stop();
    expect((await reply).status).toBe(500);
    await stopped;
  },
);

import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { setImmediate } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { goodKey, send, startServer, versions } from "./running-server.ts";

/** Opens a connection, sends a text on it, and answers all that comes until the server closes. */
function dial(url: string, text = ""): { readonly socket: Socket; readonly received: Promise<string> } {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => {
    socket.destroy();
  });
  let received = "";
  socket
    .on("error", () => {})
    .on("data", (chunk) => {
      received += chunk;
    });
  socket.write(text);
  return { socket, received: new Promise((resolve) => socket.once("close", () => resolve(received))) };
}

const get = "GET /public HTTP/1.1\r\nhost: a\r\n";

test("first bytes that have arrived in time count, however late a busy process reads them", async () => {
  const { url } = await startServer({ limits: { firstBytesMs: 1_000 } });
  const { socket, received } = dial(url);
  await once(socket, "connect");
  // The server has taken the first connection when it has answered on a later one.
  await send("http1", url, { method: "GET", path: "/healthz" });
  socket.write(`${get}connection: close\r\n\r\n`);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
  expect(await received).toContain("200 OK");
});

test.each(versions)("a connection whose first bytes arrive one by one is served (%s)", async (version) => {
  const { url } = await startServer();
  const { port } = new URL(url);
  const slow = createServer(async (client) => {
    const upstream = connect({ port: Number(port), host: "127.0.0.1", noDelay: true });
    upstream.pipe(client);
    const [first] = await once(client, "data");
    client.pause();
    for (const byte of Buffer.from(first)) {
      upstream.write(Buffer.of(byte));
      await setImmediate();
    }
    client.pipe(upstream);
  });
  slow.listen(0, "127.0.0.1");
  await once(slow, "listening");
  onTestFinished(() => {
    slow.close();
  });
  const address = slow.address();
  const reply = await send(version, `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`, {
    body: "hi",
  });
  expect(reply.json).toMatchObject({ text: "hi" });
});

for (const [name, text] of [
  ["says nothing", ""],
  ["stops inside the preface of HTTP/2", "PRI * HT"],
  ["stops inside its headers", "GET / HTTP/1.1\r\nhost: a"],
  ["opens a session and asks for nothing", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"],
  ["never ends its headers", `GET / HTTP/1.1\r\n${"a: b\r\n".repeat(100)}`],
] as const) {
  test(`a connection that ${name} is cut`, async () => {
    const { url } = await startServer({ limits: { firstBytesMs: 50, headersMs: 50 } });
    await dial(url, text).received;
  });
}

test("an HTTP/2 session without requests is ended politely", async () => {
  const { url } = await startServer({ limits: { idleMs: 50 } });
  const session = http2.connect(url);
  const goaway = once(session, "goaway");
  const stream = session.request({ ":path": "/healthz" });
  stream.resume().end();
  const [code] = await goaway;
  expect(code).toBe(http2.constants.NGHTTP2_NO_ERROR);
  expect(stream.closed).toBe(true);
  await once(session, "close");
});

test("an old HTTP/2 connection is ended politely: what is on its way is served, and a call under way ends as usual", async () => {
  const called = Promise.withResolvers<void>();
  const letGo = Promise.withResolvers<void>();
  const { url } = await startServer({
    limits: { connectionAgeMs: 50 },
    serve: async ({ response }) => {
      called.resolve();
      await letGo.promise;
      response.end("done");
    },
  });
  const session = http2.connect(url);
  const notice = once(session, "goaway");
  const closed = once(session, "close");
  const stream = session.request({ ":path": "/own", ":method": "POST", "x-api-key": goodKey });
  stream.end();
  await called.promise;
  const [code, lastStream] = await notice;
  expect([code, lastStream]).toEqual([http2.constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1]);
  const [, last] = await once(session, "goaway");
  expect(last).toBe(stream.id);
  letGo.resolve();
  expect(await text(stream)).toBe("done");
  await closed;
});

test("an HTTP/1.1 connection without requests is ended", async () => {
  const { url } = await startServer({ limits: { idleMs: 50 } });
  expect(await dial(url, `${get}\r\n`).received).toMatch(/^HTTP\/1.1 200/);
});

test("an offer to upgrade to HTTP/2 is not taken up, and the request is served", async () => {
  const { url } = await startServer();
  const upgrade = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
  const { socket, received } = dial(url, `${get}${upgrade}\r\n`);
  await once(socket, "data");
  socket.end();
  expect(await received).toMatch(/^HTTP\/1.1 200/);
});

test("a connection whose body was read serves the next request", async () => {
  const { url } = await startServer();
  const agent = new http.Agent({ keepAlive: true });
  onTestFinished(() => agent.destroy());
  const reused: boolean[] = [];
  for (const body of ["one", "two", "three"]) {
    const request = http.request(`${url}/own`, { method: "POST", headers: { "x-api-key": goodKey }, agent });
    request.end(body);
    const [response] = await once(request, "response");
    expect(Buffer.concat(await response.toArray()).toString()).toContain(body);
    reused.push(request.reusedSocket);
  }
  expect(reused).toEqual([false, true, true]);
});

test("requests that are sent ahead are answered in order", async () => {
  const { url } = await startServer();
  const { socket, received } = dial(
    url,
    `${get}x-request-id: one\r\n\r\n${get}x-request-id: two\r\nconnection: close\r\n\r\n`,
  );
  expect((await received).match(/x-request-id: .*/gi)).toEqual(["x-request-id: one", "x-request-id: two"]);
  expect(socket.destroyed).toBe(true);
});

test("a connection that sends many more requests ahead than it may is cut", async () => {
  const { url, events } = await startServer({
    limits: { requestsAheadMax: 5 },
    serve: (_, { signal }) => once(signal, "abort").then(() => undefined),
  });
  const ahead = `GET /own HTTP/1.1\r\nhost: a\r\nx-api-key: ${goodKey}\r\n\r\n`;
  expect(await dial(url, ahead.repeat(1_000)).received).toBe("");
  expect(events.filter((event) => event === "serve").length).toBeLessThanOrEqual(5);
});

test.each([5, 6])(
  "of %i requests that are sent ahead, one too many is told so behind the replies that are due, and the connection ends",
  async (count) => {
    const { url, events } = await startServer({ limits: { requestsAheadMax: 3 } });
    const ahead = `GET /own HTTP/1.1\r\nhost: a\r\nx-api-key: ${goodKey}\r\n\r\n`;
    const received = await dial(url, ahead.repeat(count)).received;
    expect(received.match(/HTTP\/1\.1 \d+/g)).toEqual([...Array(3).fill("HTTP/1.1 200"), "HTTP/1.1 429"]);
    expect(received).toContain("TOO_MANY_REQUESTS");
    expect(events.filter((event) => event === "serve")).toHaveLength(3);
  },
);

test.each(versions)(
  "a client that does not take its reply is cut, and one that is slow has time (%s)",
  async (version) => {
    const closed = Promise.withResolvers<void>();
    const { url } = await startServer({
      limits: { replyMs: 100, replyBytesPerMsMin: 64 * 1024 },
      serve: async ({ request, response }) => {
        request.socket.once("close", () => closed.resolve());
        // More than the machine takes in for a client that does not read.
        response.setHeader("content-length", 32 * 1024 ** 2);
        response.end(Buffer.alloc(32 * 1024 ** 2));
      },
    });
    if (version === "http1") {
      const { hostname, port } = new URL(url);
      const socket = connect(Number(port), hostname);
      socket.on("error", () => undefined).pause();
      socket.write("GET /public HTTP/1.1\r\nhost: a\r\n\r\n");
      await closed.promise;
      socket.destroy();
    } else {
      const session = http2.connect(url);
      const stream = session.request({ ":path": "/public" });
      stream.on("error", () => undefined).pause();
      await once(stream, "close");
      expect(stream.rstCode).toBe(http2.constants.NGHTTP2_CANCEL);
      session.destroy();
    }
  },
);

test("a broken request behind one whose reply is due leaves it that reply, and ends the connection", async () => {
  const { url } = await startServer();
  const received = await dial(url, `${get}\r\nnonsense\r\n\r\n`).received;
  expect(received.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200"]);
});

test("a request line that names the server is the same request", async () => {
  const { url } = await startServer();
  const { received } = dial(url, `GET ${url}/public?x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
  expect(await received).toMatch(/^HTTP\/1.1 200/);
});

test("a duplicate behind thousands of headers is seen", async () => {
  const { url } = await startServer();
  const headers = `x-api-key: ${goodKey}\r\n${"a:\r\n".repeat(2_500)}x-api-key: ${goodKey}\r\nconnection: close\r\n`;
  const { received } = dial(url, `GET /own HTTP/1.1\r\nhost: a\r\n${headers}\r\n`);
  expect(await received).toContain("INVALID_API_KEY");
});

test("headers beyond the limit are refused (http1)", async () => {
  const { url, events } = await startServer({ limits: { headerBytesMax: 2_000 } });
  const { status } = await send("http1", url, { headers: { tag: "x".repeat(3_000) } });
  expect(status).toBe(431);
  expect(events).toEqual([]);
});

test("headers beyond the limit are refused (http2)", async () => {
  const { url, events } = await startServer({ limits: { headerBytesMax: 2_000 } });
  const session = http2.connect(url);
  // The limit holds once both sides have agreed on it.
  await once(session.request({ ":path": "/healthz" }).resume(), "close");
  const stream = session.request({ ":path": "/own", tag: "x".repeat(3_000) });
  await expect(once(stream, "response")).rejects.toThrow();
  expect(events).toEqual([]);
  session.destroy();
});

test.each(versions)("a client that leaves while it waits aborts its call (%s)", async (version) => {
  const called = Promise.withResolvers<AbortSignal>();
  const { url } = await startServer({
    serve: async (_exchange, { signal }) => {
      called.resolve(signal);
      await once(signal, "abort");
    },
  });
  const leave = askForever(version, url);
  const signal = await called.promise;
  leave();
  await once(signal, "abort");
  expect(signal.reason).toEqual(new Error("the caller went away"));
});

/** Sends a request and answers what leaves it. */
function askForever(version: string, url: string): () => void {
  const headers = { "x-api-key": goodKey };
  if (version === "http1") {
    const request = http.request(`${url}/own`, { headers, agent: false });
    request.on("error", () => {}).end();
    return () => request.destroy();
  }
  const session = http2.connect(url);
  session.request({ ":path": "/own", ...headers }).on("error", () => {});
  return () => session.destroy();
}

test("a client that does not take its reply is cut", async () => {
  const { url, log } = await startServer({
    limits: { replyMs: 50 },
    serve: async ({ response }) => {
      response.end(Buffer.alloc(32 * 1024 * 1024));
    },
  });
  const { socket } = dial(url, `${get}\r\n`);
  socket.pause();
  await expect.poll(() => log.join("")).toContain('"isAborted":true');
});

test("the trailers of a refusal reach a client that is still sending", async () => {
  const { url } = await startServer({
    protocolHandlers: [
      {
        match: () => ({
          access: 1,
          protocol: "grpc",
          serve: () => Promise.reject(new Error("refused before")),
          refuse: async ({ response }) => {
            response.addTrailers({ "grpc-status": "16" });
            response.end("frame");
          },
        }),
      },
    ],
  });
  const session = http2.connect(url);
  const stream = session.request({ ":method": "POST" });
  const trailers = once(stream, "trailers");
  stream.resume().write("a body that never ends");
  const [fields] = await trailers;
  expect(fields["grpc-status"]).toBe("16");
  await once(stream, "close");
  expect(stream.rstCode).toBe(http2.constants.NGHTTP2_NO_ERROR);
  session.destroy();
});

test("two servers cannot have one port", async () => {
  const { url } = await startServer();
  await expect(startServer({ port: Number(new URL(url).port) })).rejects.toMatchObject({ code: "EADDRINUSE" });
});

import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { bytesMax, goodKey, type Sent, send, startServer, versions } from "./running-server.ts";

/** Sends one body over HTTP/1.1 and HTTP/2: the verdict is the same. */
function check(guarantee: string, sent: Sent, reply: { readonly status: number; readonly json: object }): void {
  test.each(versions)(`${guarantee} (%s)`, async (version) => {
    const { url } = await startServer();
    const { status, json } = await send(version, url, sent);
    expect({ status, json }).toMatchObject(reply);
  });
}

test.each(versions)("a body of any number of chunks is whole, however late it is read (%s)", async (version) => {
  const { url } = await startServer({
    serve: async (exchange, { headers }) => {
      await pause(Number(headers.get("late")?.[0]));
      const body = await exchange.readBody(megabyte);
      exchange.response.end(String(body.length));
    },
  });
  for (const late of ["0", "30"]) {
    for (const length of [1, 60_000, 65_400, 66_000, 100_000, 131_100, 200_000]) {
      const { text } = await send(version, url, { body: Buffer.alloc(length), headers: { late } });
      expect([late, text]).toEqual([late, String(length)]);
    }
  }
});

const gzip = { "content-encoding": "gzip" };
const megabyte = 1024 * 1024;
const full = "x".repeat(bytesMax);
const tooLarge = { status: 413, json: { reason: "PAYLOAD_TOO_LARGE" } };
const unknownEncoding = { status: 415, json: { reason: "UNSUPPORTED_MEDIA_TYPE" } };
const broken = { status: 400, json: { reason: "INVALID_JSON" } };

check("an empty body is an empty text", {}, { status: 200, json: { text: "" } });
check("a body at the limit is read", { body: full }, { status: 200, json: { text: full } });
check("a body beyond the limit is refused", { body: `${full}x` }, tooLarge);
check("a gzip body is unpacked", { body: gzipSync("hello"), headers: gzip }, { status: 200, json: { text: "hello" } });
check(
  "a gzip body may unpack to the limit",
  { body: gzipSync(full), headers: gzip },
  { status: 200, json: { text: full } },
);
check("a gzip body may not unpack to more", { body: gzipSync(`${full}x`), headers: gzip }, tooLarge);
check(
  "an encoding's name is read in any case",
  { body: gzipSync("hello"), headers: { "content-encoding": "GZIP" } },
  { status: 200, json: { text: "hello" } },
);
check(
  "the encoding identity is no encoding",
  { body: "a", headers: { "content-encoding": "identity" } },
  { status: 200, json: { text: "a" } },
);
for (const encoding of ["br", "gzip, gzip", "x".repeat(50)]) {
  check(
    `the encoding ${JSON.stringify(encoding)} is refused`,
    { body: "a", headers: { "content-encoding": encoding } },
    unknownEncoding,
  );
}
check("a body that is not gzip is refused", { body: "hello", headers: gzip }, broken);
check("a gzip body that is cut short is refused", { body: gzipSync(full).subarray(0, 30), headers: gzip }, broken);
check(
  "a gzip body with a wrong checksum is refused",
  { body: withWrongChecksum(gzipSync("hello")), headers: gzip },
  broken,
);

function withWrongChecksum(packed: Buffer): Buffer {
  const copy = Buffer.from(packed);
  copy.writeUInt32LE(0, copy.length - 8);
  return copy;
}

test.each(versions)("a gzip bomb is cut while it unpacks (%s)", async (version) => {
  const { url } = await startServer({
    serve: async (exchange) => {
      await exchange.readBody(megabyte);
      exchange.response.end();
    },
  });
  const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024));
  const before = process.memoryUsage().rss;
  const { status } = await send(version, url, { body: bomb, headers: gzip });
  expect(status).toBe(413);
  expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 * 1024);
});

test.each(versions)(
  "a body that is too large by its own account is refused before it is sent (%s)",
  async (version) => {
    const { url } = await startServer();
    const headers = { "content-length": String(64 * 1024 * 1024), "x-api-key": goodKey };
    const { promise: status, resolve } = Promise.withResolvers<number | undefined>();
    if (version === "http1") {
      const request = http.request(`${url}/own`, { method: "POST", headers, agent: false });
      request
        .on("response", (response) => resolve(response.statusCode))
        .on("error", () => {})
        .flushHeaders();
      expect(await status).toBe(413);
      request.destroy();
    } else {
      const session = http2.connect(url);
      const stream = session.request({ ":method": "POST", ":path": "/own", ...headers });
      stream.on("response", (response) => resolve(Number(response[":status"]))).on("error", () => {});
      expect(await status).toBe(413);
      session.destroy();
    }
  },
);

test.each(versions)("a body that does not arrive in time is refused (%s)", async (version) => {
  const { url } = await startServer({ limits: { bodyMs: 50 } });
  const reply = await sendUnfinished(version, url);
  expect(reply).toEqual({ status: 408, text: expect.stringContaining("REQUEST_TIMEOUT") });
});

/** Sends a body whose end never comes. */
async function sendUnfinished(version: string, url: string): Promise<{ status: number; text: string }> {
  const headers = { "x-api-key": goodKey };
  if (version === "http1") {
    const request = http.request(`${url}/own`, { method: "POST", headers, agent: false });
    const { promise, resolve } = Promise.withResolvers<http.IncomingMessage>();
    request
      .once("response", resolve)
      .on("error", () => {})
      .write("some");
    const response = await promise;
    expect(response.headers.connection).toBe("close");
    return { status: response.statusCode ?? 0, text: Buffer.concat(await response.toArray()).toString() };
  }
  const session = http2.connect(url);
  const stream = session.request({ ":method": "POST", ":path": "/own", ...headers });
  const { promise, resolve } = Promise.withResolvers<http2.IncomingHttpHeaders>();
  const closed = once(stream, "close");
  stream.once("response", resolve).write("some");
  const status = Number((await promise)[":status"]);
  const text = Buffer.concat(await stream.toArray()).toString();
  await closed;
  expect(stream.rstCode).toBe(http2.constants.NGHTTP2_NO_ERROR);
  session.destroy();
  return { status, text };
}

test("a client that leaves while its body is read aborts the call", async () => {
  const aborted = Promise.withResolvers<unknown>();
  const { url } = await startServer({
    serve: async (exchange, { signal }) => {
      signal.addEventListener("abort", () => aborted.resolve(signal.reason));
      reading.resolve();
      await exchange.readBody(bytesMax);
    },
  });
  const reading = Promise.withResolvers<void>();
  const request = http.request(`${url}/own`, { method: "POST", headers: { "x-api-key": goodKey } });
  request.on("error", () => {}).write("some");
  await reading.promise;
  request.destroy();
  expect(await aborted.promise).toEqual(new Error("the caller went away"));
});

test("an encoding given twice is refused", async () => {
  const { url } = await startServer();
  const headers = { "content-encoding": ["gzip", "identity"] };
  const { status, json } = await send("http1", url, { body: "a", headers });
  expect({ status, json }).toMatchObject(unknownEncoding);
});

for (const version of ["http1 with a length", "http1 in chunks", "http2"] as const) {
  test(`a client that sends 64 MB with a bad key reads its 401, and 1 MB is not taken from it (${version})`, async () => {
    const { url, sockets } = await startServer();
    const reply = await (version === "http2" ? floodHttp2(url) : floodHttp1(url, version));
    expect(reply).toContain("401");
    expect(reply).toContain("INVALID_API_KEY");
    expect(sockets).toHaveLength(1);
    expect(sockets[0]?.bytesRead).toBeLessThan(megabyte);
  });
}

/** Sends as fast as it can, without an eye for the reply until the server has cut the connection. */
async function floodHttp1(url: string, version: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const isChunked = version === "http1 in chunks";
  const length = isChunked ? "transfer-encoding: chunked" : `content-length: ${64 * megabyte}`;
  const chunk = Buffer.alloc(megabyte);
  const frame = isChunked ? Buffer.concat([Buffer.from("100000\r\n"), chunk, Buffer.from("\r\n")]) : chunk;

  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {});
  socket.write(`POST /own HTTP/1.1\r\nhost: a\r\nx-api-key: tk_bad\r\n${length}\r\n\r\n`);
  for (let sent = 0; sent < 64; sent += 1) {
    socket.write(frame);
  }
  let received = "";
  socket.on("data", (text) => {
    received += text;
  });
  await closed;
  expect(received.toLowerCase()).toContain("connection: close");
  return received;
}

async function floodHttp2(url: string): Promise<string> {
  const session = http2.connect(url);
  const stream = session.request({ ":method": "POST", ":path": "/own", "x-api-key": "tk_bad" });
  const response = once(stream, "response");
  Readable.from(new Array(64 * 64).fill(Buffer.alloc(megabyte / 64))).pipe(stream);
  const [headers] = await response;
  const text = Buffer.concat(await stream.toArray()).toString();
  expect(stream.rstCode).toBe(http2.constants.NGHTTP2_NO_ERROR);
  session.destroy();
  return `${headers[":status"]} ${text}`;
}

test("a small body that was not read ends the connection without a reset", async () => {
  const { url } = await startServer();
  const headers = { "x-api-key": "tk_bad" };
  const request = http.request(`${url}/own`, { method: "POST", headers, agent: false });
  request.end(Buffer.alloc(200 * 1024));
  const [response] = await once(request, "response");
  const { socket } = request;
  response.resume();
  // Would reject if the connection broke.
  await once(socket ?? request, "close");
  expect(response.statusCode).toBe(401);
});

test("a client that waits for 100 Continue with a bad key sends nothing", async () => {
  const { url } = await startServer();
  const headers = { "x-api-key": "tk_bad", expect: "100-continue", "content-length": 5 };
  const request = http.request(`${url}/own`, { method: "POST", headers, agent: false });
  request.on("continue", () => request.end("hello")).flushHeaders();
  const [response] = await once(request, "response");
  expect(response.statusCode).toBe(401);
  request.destroy();
});

test("a client that waits for 100 Continue with a good key is told to go on", async () => {
  const { url } = await startServer();
  const headers = { "x-api-key": goodKey, expect: "100-continue", "content-length": 5 };
  const request = http.request(`${url}/own`, { method: "POST", headers, agent: false });
  request.on("continue", () => request.end("hello")).flushHeaders();
  const [response] = await once(request, "response");
  expect(response.statusCode).toBe(200);
  expect(Buffer.concat(await response.toArray()).toString()).toContain("hello");
});

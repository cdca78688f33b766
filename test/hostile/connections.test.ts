import { once } from "node:events";
import http2 from "node:http2";
import { connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { goodKey, send, startServer } from "../server/running-server.ts";
import { sendRaw, statusesOf } from "../support/raw-socket.ts";

/* Connections that cost their owner nothing are cut in time, whatever they hold back, and nobody else waits for them. */

const limits = { firstBytesMs: 300, headersMs: 300, bodyMs: 300, idleMs: 300, replyMs: 300 };
const each = 100;

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const settings = "\0\0\0\x04\0\0\0\0\0";
/** HEADERS of stream 1 that a CONTINUATION has yet to end. */
const halfHeaders = "\0\0\x01\x01\0\0\0\0\x01\x82";

type SlowClient = { readonly name: string; readonly first: string; readonly drip?: string };

const slowClients: readonly SlowClient[] = [
  { name: "says nothing", first: "" },
  { name: "sends its first line letter by letter", first: "G", drip: "E" },
  { name: "sends headers for ever", first: "GET /public HTTP/1.1\r\nhost: a\r\n", drip: "a: b\r\n" },
  {
    name: "drips its body",
    first: `POST /own HTTP/1.1\r\nhost: a\r\nx-api-key: ${goodKey}\r\ncontent-length: 60000\r\n\r\n`,
    drip: "x",
  },
  {
    name: "drips its chunks",
    first: `POST /own HTTP/1.1\r\nhost: a\r\nx-api-key: ${goodKey}\r\ntransfer-encoding: chunked\r\n\r\n`,
    drip: "1\r\nx\r\n",
  },
  { name: "stays after its reply", first: "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n" },
  { name: "begins the preface of HTTP/2", first: preface.slice(0, 10) },
  { name: "sends the preface of HTTP/2 and no more", first: preface },
  { name: "opens a session and asks for nothing", first: preface + settings },
  { name: "pings a session that it does not use", first: preface + settings, drip: "\0\0\x08\x06\0\0\0\0\0abcdefgh" },
  { name: "never ends its headers over HTTP/2", first: preface + settings + halfHeaders },
];

/** Holds a connection and drips until the server cuts it. */
function hold(url: string, { first, drip }: SlowClient): { readonly socket: Socket; readonly cut: Promise<unknown> } {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined).resume();
  socket.write(Buffer.from(first, "latin1"));
  const timer = drip === undefined ? undefined : setInterval(() => socket.write(Buffer.from(drip, "latin1")), 100);
  const cut = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.once("close", () => clearInterval(timer));
  return { socket, cut };
}

async function medianMs(url: string): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < 21; index += 1) {
    const started = performance.now();
    expect((await send("http1", url, { body: "hi" })).status).toBe(200);
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b)[10] ?? 0;
}

test.each(slowClients)("a client that $name is cut, and others are served meanwhile", async (client) => {
  const { url } = await startServer({ limits });
  const quiet = await medianMs(url);
  const held = Array.from({ length: each }, () => hold(url, client));
  const busy = await medianMs(url);
  const started = performance.now();
  await Promise.all(held.map(({ cut }) => cut));
  expect(performance.now() - started).toBeLessThan(10_000);
  expect(busy).toBeLessThan(20 * quiet + 50);
});

test("a client over HTTP/2 that takes a byte at a time is cut", async () => {
  const serve = async ({ response }: { response: { end(body: Buffer): unknown } }) =>
    void response.end(Buffer.alloc(1024 ** 2));
  const { url } = await startServer({ limits, serve });
  const session = http2.connect(url, { settings: { initialWindowSize: 1 } });
  session.on("error", () => undefined);
  const stream = session.request({ ":path": "/public" });
  stream.on("error", () => undefined).resume();
  await once(stream, "close");
  session.destroy();
});

test("beyond its share of connections an address is cut at once, and has its share again when it lets go", async () => {
  const { url } = await startServer({ limits: { connectionsPerAddressMax: 5 } });
  const held = Array.from({ length: 5 }, () => hold(url, { name: "", first: "" }));
  await Promise.all(held.map(({ socket }) => once(socket, "connect")));
  await hold(url, { name: "", first: "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n" }).cut;
  for (const { socket } of held) {
    socket.destroy();
  }
  await expect
    .poll(() =>
      send("http1", url, {}).then(
        (reply) => reply.status,
        () => 0,
      ),
    )
    .toBe(200);
});

test("a flood of streams that are reset ends that connection or costs no more than its requests", async () => {
  const { url, server } = await startServer();
  const session = http2.connect(url);
  session.on("error", () => undefined);
  onTestFinished(() => session.destroy());
  for (let sent = 0; sent < 5_000 && !session.closed && !session.destroyed; sent += 50) {
    for (let index = 0; index < 50; index += 1) {
      const stream = session.request({ ":method": "POST", ":path": "/own", "x-api-key": goodKey });
      stream.on("error", () => undefined).close(http2.constants.NGHTTP2_CANCEL);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await send("http2", url, { body: "hi" })).status).toBe(200);
  await server.stop();
});

test.each([
  ["SETTINGS", "\0\0\0\x04\0\0\0\0\0"],
  ["PING", "\0\0\x08\x06\0\0\0\0\0abcdefgh"],
  ["empty DATA on a stream that is not open", "\0\0\0\0\0\0\0\0\x01"],
  ["PRIORITY", "\0\0\x05\x02\0\0\0\0\x03\0\0\0\0\x10"],
  ["CONTINUATION without headers", "\0\0\x01\x09\0\0\0\0\x01\x82"],
  ["WINDOW_UPDATE beyond the largest window", "\0\0\x04\x08\0\0\0\0\0\x7f\xff\xff\xff"],
  ["a frame of 16 MB", "\xff\xff\xff\0\0\0\0\0\x01"],
  ["headers that HPACK cannot read", "\0\0\x04\x01\x05\0\0\0\x01\xff\xff\xff\xff"],
  ["headers that name themselves without end", `\0\0\x03\x01\x05\0\0\0\x01${"\xbe".repeat(3)}`],
  ["pushes from a client", "\0\0\x05\x05\x04\0\0\0\x01\0\0\0\x02\x82"],
])("a flood of frames of HTTP/2 leaves the server well: %s", async (_, frame) => {
  const { url } = await startServer({ limits });
  await sendRaw(url, preface + settings + frame.repeat(5_000), { timeoutMs: 10_000 });
  expect((await send("http2", url, { body: "hi" })).status).toBe(200);
});

test("a slow request is told so, and a broken one behind a good one too", async () => {
  const { url } = await startServer({ limits });
  const slow = await sendRaw(url, "GET /public HTTP/1.1\r\nhost: a\r\n");
  expect(slow).toMatch(/^HTTP\/1\.1 408 [\s\S]*"error_code":"REQUEST_TIMEOUT"/);
  const good = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let received = "";
  socket.on("data", (text) => {
    received += text;
    if (received.endsWith('{"status":"ok"}')) {
      socket.write("nonsense\r\n\r\n");
    }
  });
  socket.write(good);
  await once(socket, "close");
  expect(statusesOf(received)).toEqual([200, 400]);
  expect(received).toContain("MALFORMED_REQUEST");
});

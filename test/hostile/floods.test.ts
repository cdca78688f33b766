import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testKey } from "../support/flowcall.ts";
import { sendRequest } from "../support/http-request.ts";
import { flags, frameReader, frameTypes, http2Frame, preface, requestBlock } from "../support/http2-frames.ts";
import { type MeasuredServer, startMeasuredServer } from "../support/measured-server.ts";

/* Connections of HTTP/2 that keep the server busy with frames: nobody waits long, and the memory comes back. */

const connections = 8;
const mebibyte = 1024 ** 2;
/** Far more than any flood takes, so that a busy machine does not fail the test. */
const stallMsMax = 3_000;
const rssGrowthMax = 100 * mebibyte;

const key = [["x-api-key", testKey]] as const;
const execute = requestBlock("POST", "/api/v1/workflow/echo/execute", key);
const odd = (index: number) => 2 * index + 1;
const times = (count: number, make: (index: number) => Uint8Array) =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
const zero = (length: number) => Buffer.alloc(length);
const open = (stream: number, bits: number, payload: Uint8Array = execute) =>
  http2Frame({ type: frameTypes.headers, flags: bits, stream, payload });
const repeated = (count: number, frame: Parameters<typeof http2Frame>[0]) => {
  const bytes = http2Frame(frame);
  return times(count, () => bytes);
};

/** An entry of 4,000 bytes in the dynamic table, and a block that names it 16,000 times: 64 MB of headers. */
function hpackBomb(): Buffer {
  const value = Buffer.alloc(3_900, "a");
  const entry = Buffer.concat([
    Buffer.from([0x40, 1, 0x78, 0x7f, ...[((value.length - 127) & 127) | 128, (value.length - 127) >> 7]]),
    value,
  ]);
  const first = open(1, flags.endHeaders | flags.endStream, Buffer.concat([requestBlock("GET", "/healthz"), entry]));
  return Buffer.concat([
    first,
    times(20, (index) => open(odd(index + 1), flags.endHeaders | flags.endStream, Buffer.alloc(16_000, 0xbe))),
  ]);
}

const floods: readonly (readonly [string, () => Buffer])[] = [
  [
    "streams that are reset at once",
    () =>
      times(20_000, (index) =>
        Buffer.concat([
          open(odd(index), flags.endHeaders | flags.endStream),
          http2Frame({ type: frameTypes.reset, stream: odd(index), payload: Buffer.from([0, 0, 0, 8]) }),
        ]),
      ),
  ],
  [
    "streams that are broken at once by a window of 2^31",
    () =>
      times(20_000, (index) =>
        Buffer.concat([
          open(odd(index), flags.endHeaders),
          http2Frame({ type: frameTypes.window, stream: odd(index), payload: Buffer.from([0x7f, 255, 255, 255]) }),
        ]),
      ),
  ],
  ["streams beyond those that are allowed", () => times(20_000, (index) => open(odd(index), flags.endHeaders))],
  ["PING", () => repeated(100_000, { type: frameTypes.ping, payload: zero(8) })],
  ["SETTINGS", () => repeated(100_000, { type: frameTypes.settings, payload: Buffer.from([0, 4, 0, 0, 255, 255]) })],
  [
    "empty DATA of a request",
    () => Buffer.concat([open(1, flags.endHeaders), repeated(200_000, { type: frameTypes.data, stream: 1 })]),
  ],
  [
    "padded DATA without bytes",
    () =>
      Buffer.concat([
        open(1, flags.endHeaders),
        repeated(30_000, { type: frameTypes.data, flags: 8, stream: 1, payload: Buffer.from([1, 0]) }),
      ]),
  ],
  [
    "empty CONTINUATION",
    () => Buffer.concat([open(1, flags.none), repeated(200_000, { type: frameTypes.continuation, stream: 1 })]),
  ],
  [
    "CONTINUATION with headers of 32 MB",
    () =>
      Buffer.concat([
        open(1, flags.none),
        repeated(2_000, {
          type: frameTypes.continuation,
          stream: 1,
          payload: requestBlock(
            "GET",
            "/",
            Array.from({ length: 150 }, () => ["tag", "x".repeat(100)] as const),
          ),
        }),
      ]),
  ],
  ["headers that unpack to 64 MB", hpackBomb],
  [
    "PRIORITY",
    () =>
      times(100_000, (index) =>
        http2Frame({ type: frameTypes.priority, stream: odd(index), payload: Buffer.from([0, 0, 0, 0, 1]) }),
      ),
  ],
  ["WINDOW_UPDATE by a byte", () => repeated(50_000, { type: frameTypes.window, payload: Buffer.from([0, 0, 0, 1]) })],
  ["frames of no known type", () => repeated(100_000, { type: 99, payload: zero(8) })],
  ["GOAWAY", () => repeated(50_000, { type: frameTypes.goaway, payload: zero(8) })],
];

let server: MeasuredServer;

beforeAll(async () => {
  server = await startMeasuredServer();
});

afterAll(async () => server?.stop());

/** What no flood holds: the server acknowledges it when it has read all that came before. */
const lastPing = Buffer.from("the last");

/** Sends all of it, and waits until the server has read it or ends the connection: only then is its cost known. */
async function flood(bytes: Buffer): Promise<void> {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  const { promise: known, resolve } = Promise.withResolvers<void>();
  const read = frameReader();
  const closed = new Promise((done) => socket.once("close", done));
  socket
    .on("error", () => undefined)
    .once("close", () => resolve())
    .on("data", (piece: Buffer) => {
      for (const { type, payload } of read(piece)) {
        if (type === frameTypes.goaway || (type === frameTypes.ping && lastPing.equals(payload))) {
          resolve();
        }
      }
    });
  socket.write(Buffer.concat([bytes, http2Frame({ type: frameTypes.ping, payload: lastPing })]));
  await known;
  socket.destroy();
  await closed;
}

async function callOver(version: "1.1" | "2"): Promise<number> {
  const headers = [...key, ["linked_account_id", "john@acme.io"], ["sync_execution", "true"]] as const;
  return (await sendRequest(server.url, version, { method: "POST", path: "/api/v1/workflow/echo/execute", headers }))
    .status;
}

test.each(floods)("a flood leaves the server well: %s", async (_name, make) => {
  const bytes = Buffer.concat([preface, http2Frame({ type: frameTypes.settings }), make()]);
  expect(await callOver("1.1")).toBe(200);
  await server.measure();
  const before = await server.measure();
  await Promise.all(Array.from({ length: connections }, () => flood(bytes)));
  expect([await callOver("1.1"), await callOver("2")]).toEqual([200, 200]);
  const { rssBytes, stallMs } = await server.measure();
  expect(stallMs).toBeLessThan(stallMsMax);
  expect(rssBytes - before.rssBytes).toBeLessThan(rssGrowthMax);
  expect(server.errors()).toBe("");
});

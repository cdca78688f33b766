import { once } from "node:events";
import http2 from "node:http2";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testKey } from "../support/flowcall.ts";
import { frame } from "../support/grpc-web.ts";
import { flags, frameReader, frameTypes, http2Frame, preface, requestBlock } from "../support/http2-frames.ts";
import { type MeasuredServer, startMeasuredServer } from "../support/measured-server.ts";
import { type OpenSession, openSession, watchPath } from "../support/open-call.ts";

/* Who goes on after refusals is cut at little cost: others wait for nothing, and neither do calls on the same connection. */

const streamsMax = 4;
const refusalsMax = 6;
const enhanceYourCalm = http2.constants.NGHTTP2_ENHANCE_YOUR_CALM;

let server: MeasuredServer;

beforeAll(async () => {
  server = await startMeasuredServer({
    FLOWCALL_OPEN_STREAMS_PER_ADDRESS: String(streamsMax),
    FLOWCALL_REFUSALS_PER_ADDRESS: String(refusalsMax),
  });
});

afterAll(async () => server?.stop());

function watch({ open }: OpenSession, count: number) {
  const calls = Array.from({ length: count }, () => open(watchPath));
  for (const { ended } of calls) {
    ended.catch(() => undefined);
  }
  for (const { stream } of calls) {
    stream.resume().end(frame(0, Buffer.alloc(0)));
  }
  return calls;
}

/** The code with which the server ends a session. */
async function goawayOf({ session }: OpenSession): Promise<number> {
  return await new Promise((resolve) => session.once("goaway", resolve));
}

async function call({ session }: OpenSession): Promise<number> {
  const stream = session.request({
    ":method": "POST",
    ":path": "/api/v1/workflow/echo/execute",
    ...{ "x-api-key": testKey, linked_account_id: "john@acme.io", sync_execution: "true" },
  });
  stream.end();
  const [head] = await once(stream, "response");
  stream.resume();
  return Number(head[":status"]);
}

test("an address is told so many refusals in words, then its connection ends, and what is held on others stays", async () => {
  const first = openSession(server.url, "127.0.0.2");
  const held = watch(first, streamsMax);
  await Promise.all(held.map(({ answered }) => answered));
  const second = openSession(server.url, "127.0.0.2");
  const ended = goawayOf(second);
  const refused = watch(second, 60);
  const ends = await Promise.allSettled(refused.map((one) => one.ended));
  const told = ends.filter((end) => end.status === "fulfilled" && end.value.status === "8");
  expect(await ended).toBe(enhanceYourCalm);
  // A second may have ended meanwhile.
  expect(told.length).toBeLessThanOrEqual(2 * refusalsMax);
  expect(held.every(({ stream }) => !stream.closed)).toBe(true);
  expect(await call(first)).toBe(200);
});

test("what was let through on a connection is served to its end, and further ones of its address are served", async () => {
  const shared = openSession(server.url, "127.0.0.3");
  const held = watch(shared, streamsMax);
  await Promise.all(held.map(({ answered }) => answered));
  const ended = goawayOf(shared);
  await Promise.allSettled(watch(shared, 60).map((one) => one.ended));
  expect(await ended).toBe(http2.constants.NGHTTP2_NO_ERROR);
  expect(held.every(({ stream }) => !stream.closed)).toBe(true);
  expect(await call(openSession(server.url, "127.0.0.3"))).toBe(200);
});

const lanes = 100;
const attackMs = 3_000;
const stallMsMax = 1_500;
const question = frame(0, Buffer.alloc(0));
const watches = Buffer.concat([
  preface,
  http2Frame({ type: frameTypes.settings }),
  ...Array.from({ length: 128 }, (_, index) =>
    Buffer.concat([
      http2Frame({
        type: frameTypes.headers,
        flags: flags.endHeaders,
        stream: 2 * index + 1,
        payload: requestBlock("POST", watchPath, [["content-type", "application/grpc"]]),
      }),
      http2Frame({ type: frameTypes.data, flags: flags.endStream, stream: 2 * index + 1, payload: question }),
    ]),
  ),
]);
const ahead = Buffer.from("GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(128));

/** Sends the same on each connection, and makes a new one as soon as the old one is cut. */
async function again(bytes: Buffer, localAddress: string, isOver: () => boolean): Promise<void> {
  const { hostname, port } = new URL(server.url);
  while (!isOver()) {
    const socket = connect({ host: hostname, port: Number(port), localAddress });
    const read = frameReader();
    const timer = setTimeout(() => socket.destroy(), attackMs);
    socket.on("error", () => undefined);
    if (bytes === ahead) {
      socket.pause();
    } else {
      socket.on("data", (piece: Buffer) => {
        if (read(piece).some(({ type }) => type === frameTypes.goaway)) {
          socket.destroy();
        }
      });
    }
    socket.write(bytes);
    await once(socket, "close").catch(() => undefined);
    clearTimeout(timer);
  }
}

test.each([
  ["128 watches on each connection of HTTP/2", watches, "127.0.0.4"],
  ["128 requests sent ahead on each of HTTP/1.1, whose replies are not read", ahead, "127.0.0.5"],
])(
  "who makes a connection for each that is cut takes a part of the process and no more: %s",
  async (_name, bytes, from) => {
    const victim = openSession(server.url, "127.0.0.6");
    expect(await call(victim)).toBe(200);
    await server.measure();
    const endTime = performance.now() + attackMs;
    const isOver = () => performance.now() > endTime;
    const attack = Promise.all(Array.from({ length: lanes }, () => again(bytes, from, isOver)));
    while (!isOver()) {
      expect(await call(victim)).toBe(200);
    }
    const { stallMs } = await server.measure();
    await attack;
    // Far more than it takes, so that a busy machine does not fail the test.
    expect(stallMs).toBeLessThan(stallMsMax);
    expect(server.errors()).toBe("");
  },
);

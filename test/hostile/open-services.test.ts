import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Flowcall, startFlowcall } from "../support/flowcall.ts";
import { decodePieces, frame } from "../support/grpc-web.ts";
import { sendRequest } from "../support/http-request.ts";
import {
  type OpenCall,
  openSession,
  reflectionPath,
  reflectionPaths,
  symbolQuestion,
  watchPath,
} from "../support/open-call.ts";

/* Services that need no key: whoever asks them holds little, for a short time, and waits behind itself. */

const streamsMax = 12;
const perAddressMax = 8;
const resourceExhausted = "8";
const deadlineExceeded = "4";

let flowcall: Flowcall;

beforeAll(async () => {
  flowcall = await startFlowcall({
    FLOWCALL_OPEN_STREAMS: String(streamsMax),
    FLOWCALL_OPEN_STREAMS_PER_ADDRESS: String(perAddressMax),
    FLOWCALL_REFLECTION_MS: "3000",
  });
});

afterAll(async () => flowcall?.stop());

/** Opens streams that hold a place each: a watch is answered at once, and stays. */
async function watch(address: string, count: number): Promise<readonly OpenCall[]> {
  const { open } = openSession(flowcall.url, address);
  const calls = Array.from({ length: count }, () => open(watchPath));
  for (const { stream } of calls) {
    stream.end(frame(0, Buffer.alloc(0)));
  }
  await Promise.all(calls.map(({ answered }) => answered));
  return calls;
}

/** An envelope that says it holds four mebibytes, and some of them. */
const unfinished = Buffer.concat([Buffer.from([0, 0, 0x40, 0, 0]), Buffer.alloc(1000)]);
const largeText = JSON.stringify({ service: "x".repeat(2000) });

describe("a message beyond 1 KiB is refused", () => {
  test.each(reflectionPaths)("by the length that it announces (%s)", async (path) => {
    const call = openSession(flowcall.url).open(path);
    call.stream.resume().write(unfinished);
    expect(await call.ended).toMatchObject({
      status: resourceExhausted,
      message: expect.stringContaining("1024"),
      details: expect.stringContaining("open_message_bytes"),
    });
  });

  test("by what it unpacks to, on a stream", async () => {
    const { session } = openSession(flowcall.url);
    const stream = session.request({
      ":method": "POST",
      ":path": reflectionPath,
      "content-type": "application/grpc",
      "grpc-encoding": "gzip",
    });
    const ended = new Promise((resolve) => stream.once("trailers", (fields) => resolve(fields["grpc-status"])));
    stream.resume().write(frame(1, gzipSync(Buffer.alloc(1_000_000))));
    expect(String(await ended)).toBe(resourceExhausted);
  });

  test.each([
    ["1.1", "Check", "application/json", Buffer.from(largeText)],
    ["2", "Check", "application/json", Buffer.from(largeText)],
    ["1.1", "Check", "application/grpc-web", frame(0, Buffer.alloc(2000))],
    ["1.1", "Check", "application/grpc-web-text", Buffer.from(frame(0, Buffer.alloc(2000)).toString("base64"))],
    ["2", "Check", "application/grpc", frame(0, Buffer.alloc(2000))],
    ["2", "Watch", "application/grpc", frame(0, Buffer.alloc(2000))],
    ["1.1", "Watch", "application/connect+json", frame(0, Buffer.from(largeText))],
  ] as const)("over HTTP/%s, %s as %s", async (version, method, type, body) => {
    const path = `/grpc.health.v1.Health/${method}`;
    const headers = [["content-type", type]] as const;
    const answer = await sendRequest(flowcall.url, version, { method: "POST", path, headers, body });
    const text = answer.body.toString("latin1");
    const told = `${type.includes("-text") ? decodePieces(text).toString() : text} ${JSON.stringify([...answer.headers])}`;
    expect(told).toContain("1024");
    expect(told).toMatch(/resource_exhausted|grpc-status(: |",")8/);
  });
});

test("an address has its share of streams and no more, and is told so with a time to come back", async () => {
  const held = await watch("127.0.0.2", perAddressMax);
  const { open } = openSession(flowcall.url, "127.0.0.2");
  for (const path of [watchPath, ...reflectionPaths]) {
    const call = open(path);
    call.stream.resume().end(frame(0, Buffer.alloc(0)));
    const { status, details } = await call.ended;
    expect(status).toBe(resourceExhausted);
    expect(details).toContain("open_streams_per_address");
    expect(details).toContain("RetryInfo");
  }
  for (const { stream } of held) {
    stream.close();
  }
  await expect.poll(() => watch("127.0.0.2", 1).then(([one]) => one?.stream.closed)).toBe(false);
});

test("when all streams are taken, an address gets its part from the one that has the most", async () => {
  const most = await watch("127.0.0.3", perAddressMax);
  await watch("127.0.0.4", streamsMax - perAddressMax);
  const [own] = await watch("127.0.0.5", 1);
  const ended = await most[0]?.ended;
  expect(ended).toMatchObject({ status: resourceExhausted, details: expect.stringContaining("open_streams") });
  expect(own?.stream.closed).toBe(false);
});

test("a stream of reflection ends in time, whether it asks or not", async () => {
  const { open } = openSession(flowcall.url, "127.0.0.6");
  const [silent, busy] = [open(reflectionPath), open(reflectionPath)];
  const ask = () => void (busy.stream.writable && busy.stream.write(symbolQuestion("flowcall.v1.Nothing")));
  silent.stream.resume();
  busy.stream.on("data", ask);
  ask();
  for (const { ended } of [silent, busy]) {
    expect(await ended).toMatchObject({ status: deadlineExceeded, details: expect.stringContaining("reflection_ms") });
  }
});

test("a stream whose answers are not taken is not read further", async () => {
  const { open, socket } = openSession(flowcall.url, "127.0.0.7");
  const idle = open(reflectionPath);
  const question = symbolQuestion();
  const questions = Buffer.concat(Array.from({ length: 50_000 }, () => question));
  idle.stream.pause().write(questions);
  // Meanwhile another caller is answered many times over.
  const other = openSession(flowcall.url, "127.0.0.8").open(reflectionPath);
  let bytes = 0;
  const enough = new Promise<void>((resolve) => {
    other.stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > 20 * 50_000) {
        resolve();
      }
    });
  });
  for (let index = 0; index < 30; index += 1) {
    other.stream.write(question);
  }
  await enough;
  expect(socket.bytesWritten).toBeLessThan(questions.length / 4);
});

test("who asks without an end waits behind itself, and others are answered between", async () => {
  const asked = 2_000;
  const { open } = openSession(flowcall.url, "127.0.0.9");
  const greedy = Array.from({ length: 4 }, () => open(reflectionPath));
  const question = symbolQuestion("flowcall.v1.Nothing");
  let answers = 0;
  for (const { stream } of greedy) {
    stream.on("data", () => {
      answers += 1;
    });
    stream.write(Buffer.concat(Array.from({ length: asked }, () => question)));
  }
  await Promise.all(greedy.map(({ answered }) => answered));
  const before = answers;
  const call = openSession(flowcall.url, "127.0.0.10").open(reflectionPath);
  call.stream.write(question);
  await call.answered;
  expect(answers - before).toBeLessThan(asked);
});

import { connect } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testKey } from "../support/flowcall.ts";
import { frame } from "../support/grpc-web.ts";
import { sendRequest } from "../support/http-request.ts";
import { flags, frameReader, frameTypes, http2Frame, preface, requestBlock } from "../support/http2-frames.ts";
import { type MeasuredServer, startMeasuredServer } from "../support/measured-server.ts";
import { statusesOf } from "../support/raw-socket.ts";
import { lengthField } from "../support/struct-bytes.ts";

/*
 * Good requests whose bytes were flipped, cut, repeated and spliced: whatever comes of them is a reply or the client's
 * fault, never a fault of ours. Each run tries the same, until its time is up; one that fails prints its batch's bytes.
 */

const atATime = 16;
const batches = 40;
/** How long a reply is waited for that may never come, since the server waits for the rest of the request. */
const patienceMs = 300;
/** A slow machine tries fewer requests. */
const partMs = 3_500;
/** Far more than any of them takes, so that a busy machine does not fail the test. */
const stallMsMax = 3_000;

const procedure = "/flowcall.v1.ExecutionService/ExecuteWorkflow";
const rest = "/api/v1/workflow/echo/execute";
const payload = '{"name":"Ada","list":[1,-2.5e3,null,true],"deep":{"é":"\\u00e9\\n"}}';
const json = Buffer.from(
  `{"workflow":"echo","linked_account_id":"john@acme.io","sync_execution":true,"payload":${payload}}`,
);
const binary = Buffer.concat([
  lengthField(1, "echo"),
  lengthField(2, lengthField(1, Buffer.concat([lengthField(1, "name"), lengthField(2, lengthField(3, "Ada"))]))),
  lengthField(3, "john@acme.io"),
  Buffer.from([0x28, 1]),
]);

type Call = { readonly path: string; readonly type: string; readonly body: Buffer };

const restCall: Call = { path: rest, type: "application/json", body: Buffer.from(payload) };
const grpcCall: Call = { path: procedure, type: "application/grpc", body: frame(0, binary) };
const calls: readonly Call[] = [
  restCall,
  { path: procedure, type: "application/json", body: json },
  { path: procedure, type: "application/proto", body: binary },
  { path: procedure, type: "application/grpc-web+proto", body: frame(0, binary) },
  { path: procedure, type: "application/grpc-web+json", body: frame(0, json) },
];

/** Those of REST are taken by each call, and mean nothing to the others. */
const headersOf = (type: string) =>
  [
    ["x-api-key", testKey],
    ["content-type", type],
    ["te", "trailers"],
    ["linked_account_id", "john@acme.io"],
    ["sync_execution", "true"],
  ] as const;

const http1Head = ({ path, type }: Call, end: string) =>
  [
    `POST ${path} HTTP/1.1`,
    "host: a",
    ...headersOf(type).map(([name, value]) => `${name}: ${value}`),
    end,
    "",
    "",
  ].join("\r\n");
const http1 = (call: Call, body = call.body) =>
  Buffer.concat([Buffer.from(http1Head(call, `content-length: ${body.length}`)), body]);
const chunked = (call: Call) => {
  const size = `${call.body.length.toString(16)}\r\n`;
  return Buffer.concat([
    Buffer.from(http1Head(call, "transfer-encoding: chunked") + size),
    call.body,
    Buffer.from("\r\n0\r\n\r\n"),
  ]);
};

/** The frames of one call, without the preface, whose change is only an HTTP/1.1 request that is none. */
const http2 = ({ path, type, body }: Call) =>
  Buffer.concat([
    http2Frame({ type: frameTypes.settings }),
    http2Frame({
      type: frameTypes.headers,
      flags: flags.endHeaders,
      stream: 1,
      payload: requestBlock("POST", path, headersOf(type)),
    }),
    http2Frame({ type: frameTypes.data, flags: flags.endStream, stream: 1, payload: body }),
  ]);

/** Flips, cuts, repeats and splices, at places that shrink to the beginning. */
function mutated(seeds: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const place = fc.nat(1_000);
  const seed = fc.constantFrom(...seeds);
  const change = fc.oneof(
    fc.record({ kind: fc.constant("flip" as const), place, bits: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ kind: fc.constant("cut" as const), place, length: fc.integer({ min: 1, max: 64 }) }),
    fc.record({
      kind: fc.constant("repeat" as const),
      place,
      length: fc.integer({ min: 1, max: 64 }),
      times: fc.integer({ min: 1, max: 400 }),
    }),
    fc.record({ kind: fc.constant("splice" as const), place, other: seed, from: place }),
  );
  return fc.tuple(seed, fc.array(change, { minLength: 1, maxLength: 4 })).map(([bytes, changes]) =>
    changes.reduce((now, change) => {
      const at = change.place % (now.length + 1);
      const [before, after] = [now.subarray(0, at), now.subarray(at)];
      switch (change.kind) {
        case "flip":
          return Buffer.concat([before, after.subarray(0, 1).map((byte) => byte ^ change.bits), after.subarray(1)]);
        case "cut":
          return Buffer.concat([before, after.subarray(change.length)]);
        case "repeat":
          return Buffer.concat([before, ...Array(change.times).fill(after.subarray(0, change.length)), after]);
        case "splice":
          return Buffer.concat([before, change.other.subarray(change.from % change.other.length)]);
        default:
          return change satisfies never;
      }
    }, bytes),
  );
}

let server: MeasuredServer;

beforeAll(async () => {
  server = await startMeasuredServer();
});

afterAll(async () => server?.stop());

/** Sends bytes on a connection of its own, and takes what comes until it is closed, is enough, or is not to come. */
async function exchange(bytes: Uint8Array, isEnough: (piece: Buffer) => boolean = () => false): Promise<string> {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  const timer = setTimeout(() => socket.destroy(), patienceMs);
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  let received = "";
  socket
    .on("error", () => undefined)
    .on("data", (piece: Buffer) => {
      received += piece.toString("latin1");
      if (isEnough(piece)) {
        socket.destroy();
      }
    })
    .on("close", () => resolve());
  socket.write(bytes);
  await closed;
  clearTimeout(timer);
  return received;
}

/** Our faults, in the words of each protocol over HTTP/1.1. */
function expectNoFault(received: string): void {
  expect(statusesOf(received).filter((status) => status >= 500)).toEqual([]);
  expect(received).not.toMatch(/grpc-status: ?(2|13|15)\b|"code":"(internal|unknown|data_loss)"/);
}

const ofHttp1 = async (bytes: Buffer) => expectNoFault(await exchange(bytes, (piece) => isLastReply(piece)));

/** A reply's end: of JSON, or of chunks. Where it is missed, patience ends the wait. */
const isLastReply = (piece: Buffer) => /(\}|\r\n0\r\n\r\n)$/.test(piece.toString("latin1"));

/** What is wrong with a reply over HTTP/2 is in the log of errors: its headers are packed. */
async function ofHttp2(bytes: Buffer): Promise<void> {
  const read = frameReader();
  const isEnd = ({ type, flags: bits }: { readonly type: number; readonly flags: number }) =>
    type === frameTypes.goaway || type === frameTypes.reset || (type <= frameTypes.headers && (bits & 1) === 1);
  await exchange(Buffer.concat([preface, bytes]), (piece) => read(piece).some(isEnd));
}

async function ofGrpc(body: Buffer): Promise<void> {
  const { status, headers } = await sendRequest(server.url, "2", {
    method: "POST",
    path: grpcCall.path,
    headers: headersOf(grpcCall.type),
    body,
  });
  expect(status).toBe(200);
  // That a message is packed and no header says how is told as INTERNAL, by gRPC's document "Compression".
  if (headers.get("grpc-message")?.includes("marked%20as%20compressed")) {
    return;
  }
  expect(headers.get("grpc-status")).not.toMatch(/^(2|13|15)$/);
}

const parts: readonly (readonly [string, fc.Arbitrary<Buffer>, (bytes: Buffer) => Promise<void>])[] = [
  ["requests of HTTP/1.1", mutated([...calls.map((call) => http1(call)), ...calls.map(chunked)]), ofHttp1],
  [
    "bodies",
    fc.oneof(...calls.map((call) => mutated(calls.map(({ body }) => body)).map((body) => http1(call, body)))),
    ofHttp1,
  ],
  ["frames of HTTP/2", mutated([restCall, grpcCall].map(http2)), ofHttp2],
  ["messages of gRPC", mutated([grpcCall.body, frame(1, binary), frame(0, json)]), ofGrpc],
];

test.each(parts)("no bytes are a fault of ours: %s", async (_name, bytes, send) => {
  await server.measure();
  await fc.assert(
    fc.asyncProperty(fc.array(bytes, { minLength: atATime, maxLength: atATime }), async (batch) => {
      await Promise.all(batch.map(send));
      expect(server.errors()).toBe("");
    }),
    { seed: 20_261_124, numRuns: batches, interruptAfterTimeLimit: partMs, endOnFailure: true },
  );
  for (const version of ["1.1", "2"] as const) {
    const headers = headersOf(restCall.type);
    const { status } = await sendRequest(server.url, version, {
      method: "POST",
      path: rest,
      headers: headers.filter(([name]) => name !== "te"),
      body: restCall.body,
    });
    expect(status).toBe(200);
  }
  expect((await server.measure()).stallMs).toBeLessThan(stallMsMax);
  expect(server.errors()).toBe("");
});

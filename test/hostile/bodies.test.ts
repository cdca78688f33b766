import { brotliCompressSync, deflateSync, gzipSync, constants as zlib } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { testKey } from "../support/flowcall.ts";
import { frame } from "../support/grpc-web.ts";
import { type HttpAnswer, type HttpVersion, sendRequest } from "../support/http-request.ts";
import { type MeasuredServer, startMeasuredServer } from "../support/measured-server.ts";
import { lengthField } from "../support/struct-bytes.ts";
import { verdictOf } from "../support/verdict.ts";

/* Bodies that are larger than they may be, or that unpack to it: refused in words, at no cost in memory or time. */

const mebibyte = 1024 ** 2;
const rssGrowthMax = 32 * mebibyte;
/** A stall of the machine's own is within it; a body that is taken in and read is not. */
const stallMsMax = 3_000;

const procedure = "/flowcall.v1.ExecutionService/ExecuteWorkflow";
const call = '{"workflow":"echo","linked_account_id":"john@acme.io","sync_execution":true,"payload":{}}';
const binaryCall = Buffer.concat([
  lengthField(1, "echo"),
  lengthField(2, ""),
  lengthField(3, "john@acme.io"),
  Buffer.from([0x28, 1]),
]);

type Headers = readonly (readonly [string, string])[];

type Protocol = {
  readonly name: string;
  readonly version: HttpVersion;
  readonly path: string;
  readonly headers: Headers;
  /** A call that succeeds. */
  readonly good: Buffer;
  /** Where the name of an encoding stands, and what is put around a message that is packed. */
  readonly encodingHeader: string;
  readonly wrap: (message: Uint8Array, isPacked: boolean) => Buffer;
};

const whole = (message: Uint8Array) => Buffer.from(message);
const framed = (message: Uint8Array, isPacked: boolean) => frame(isPacked ? 1 : 0, message);
const restHeaders = [
  ["content-type", "application/json"],
  ["linked_account_id", "john@acme.io"],
  ["sync_execution", "true"],
] as const;
const typed = (type: string): Headers => [
  ["content-type", type],
  ["te", "trailers"],
];

const rest = { path: "/api/v1/workflow/echo/execute", headers: restHeaders, good: Buffer.from("{}") };
const rpc = { path: procedure, good: binaryCall };
const plain = { encodingHeader: "content-encoding", wrap: whole };
const grpc = { encodingHeader: "grpc-encoding", wrap: framed };

const protocols: readonly Protocol[] = [
  { name: "REST", version: "1.1", ...rest, ...plain },
  { name: "REST over HTTP/2", version: "2", ...rest, ...plain },
  {
    name: "Connect in JSON",
    version: "1.1",
    path: procedure,
    good: Buffer.from(call),
    headers: typed("application/json"),
    ...plain,
  },
  { name: "Connect in binary", version: "2", ...rpc, headers: typed("application/proto"), ...plain },
  { name: "gRPC", version: "2", ...rpc, headers: typed("application/grpc"), ...grpc },
  { name: "gRPC-Web", version: "1.1", ...rpc, headers: typed("application/grpc-web+proto"), ...grpc },
];

const zeros = Buffer.alloc(100 * mebibyte);
const fast = { params: { [zlib.BROTLI_PARAM_QUALITY]: 1 } };
const bombs = {
  gzip: gzipSync(zeros, { level: 1 }),
  deflate: deflateSync(zeros, { level: 1 }),
  br: brotliCompressSync(zeros, fast),
};

let server: MeasuredServer;

function send({ version, path, headers }: Protocol, body: Uint8Array, more: Headers = []): Promise<HttpAnswer> {
  const all = [["x-api-key", testKey], ...headers, ...more] as const;
  return sendRequest(server.url, version, { method: "POST", path, headers: all, body });
}

beforeAll(async () => {
  server = await startMeasuredServer();
});

afterAll(async () => server?.stop());

describe.each(protocols)("over $name", (protocol) => {
  const { encodingHeader, wrap, good } = protocol;
  const packed = (encoding: string, data: Uint8Array) => send(protocol, wrap(data, true), [[encodingHeader, encoding]]);
  let rssBefore = 0;

  // What an honest call of the largest size leaves in memory is no cost of the hostile one.
  beforeAll(async () => {
    const padding = Buffer.alloc(3 * mebibyte, " ");
    const large = good.toString().startsWith("{") ? Buffer.concat([good, padding]) : good;
    await packed("gzip", gzipSync(large));
    await send(protocol, wrap(large, false));
    await server.measure();
  });

  beforeEach(async () => {
    rssBefore = (await server.measure()).rssBytes;
  });

  async function checkCost({ growthMax = rssGrowthMax } = {}): Promise<void> {
    const { rssBytes, stallMs } = await server.measure();
    expect(rssBytes - rssBefore).toBeLessThan(growthMax);
    expect(stallMs).toBeLessThan(stallMsMax);
    expect(verdictOf(await send(protocol, wrap(good, false)))).toBeUndefined();
    expect(server.errors()).toBe("");
  }

  test("what is packed with gzip is read", async () => {
    expect(verdictOf(await packed("gzip", gzipSync(good)))).toBeUndefined();
  });

  test("a gzip bomb is refused", async () => {
    expect(verdictOf(await packed("gzip", bombs.gzip))?.reason).toBe("PAYLOAD_TOO_LARGE");
    await checkCost();
  });

  test.each(["deflate", "br", "gzip, gzip", "gzip,".repeat(50)])(
    "a bomb of the encoding %s is refused unread",
    async (encoding) => {
      const bomb = encoding === "deflate" || encoding === "br" ? bombs[encoding] : gzipSync(bombs.gzip);
      expect(verdictOf(await packed(encoding, bomb))?.reason).toBe("UNSUPPORTED_MEDIA_TYPE");
      await checkCost();
    },
  );

  test("a bomb inside a bomb is no more than bytes", async () => {
    const verdict = verdictOf(await packed("gzip", gzipSync(bombs.gzip)));
    expect(verdict?.reason).toMatch(/^(INVALID_JSON|VALIDATION_ERROR)$/);
    await checkCost();
  });

  test("gzip with a wrong checksum, or cut short, is refused", async () => {
    const wrong = gzipSync(good);
    wrong.writeUInt32LE(0, wrong.length - 8);
    for (const data of [wrong, gzipSync(good).subarray(0, -9)]) {
      expect(verdictOf(await packed("gzip", data))?.reason).toMatch(/^(INVALID_JSON|VALIDATION_ERROR)$/);
    }
    expect(server.errors()).toBe("");
  });

  test("a body of 64 MB is refused, its length said beforehand or not", async () => {
    const body = wrap(zeros.subarray(0, 64 * mebibyte), false);
    const unsaid: Headers = protocol.version === "1.1" ? [["transfer-encoding", "chunked"]] : [];
    const said: Headers = [["content-length", String(body.length)]];
    for (const headers of [unsaid, said]) {
      expect(verdictOf(await send(protocol, body, headers))?.reason).toBe("PAYLOAD_TOO_LARGE");
    }
    await checkCost();
  });

  test("sixteen large bodies at a time are refused", async () => {
    const body = wrap(zeros.subarray(0, 16 * mebibyte), false);
    const answers = await Promise.all(Array.from({ length: 16 }, () => send(protocol, body)));
    // Together they are as much as one key may have under way.
    for (const answer of answers) {
      expect(verdictOf(answer)?.reason).toMatch(/^(PAYLOAD_TOO_LARGE|TOO_MANY_REQUESTS)$/);
    }
    // Each may come as far as the 4 MiB of the limit before it is known to be too large.
    await checkCost({ growthMax: 16 * 4 * mebibyte + rssGrowthMax });
  });
});

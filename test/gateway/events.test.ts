import { once } from "node:events";
import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Clock, systemClock } from "../../src/domain/clock.ts";
import type { InvokeStream } from "../../src/domain/http/call.ts";
import { valueMessage } from "../../src/domain/json/json-parse.ts";
import { scanJson } from "../../src/domain/json/json-scan.ts";
import { defaultLimits, type Limits } from "../../src/domain/limits.ts";
import { RequestError } from "../../src/domain/request-error.ts";
import { createGateway } from "../../src/gateway/gateway.ts";
import { ManualClock } from "../engine/manual-clock.ts";
import { type OpenReply, openReply, readEvents, type SentEvent } from "../support/event-source.ts";
import { until } from "../support/eventually.ts";
import { type GatewayServer, serveHandler } from "./gateway-server.ts";
import { madeService } from "./made-service.ts";

const versions = ["1.1", "2"] as const;

const service = madeService({ Watch: { rule: { get: "/things/{one}" }, streams: true } });

function thing(init: MessageInitShape<DescMessage>) {
  return create(service.method["watch"]?.output ?? neverMade(), init);
}

function neverMade(): never {
  throw new Error("the service was made without its method");
}

type Setting = { readonly clock?: Clock; readonly limits?: Partial<Limits>; readonly reported?: unknown[] };

/** A server whose one method streams what the test says. */
async function serve(
  version: (typeof versions)[number],
  invokeStream: InvokeStream,
  { clock = systemClock, limits = {}, reported = [] }: Setting = {},
): Promise<GatewayServer & { open(request?: Partial<Parameters<typeof openReply>[2]>): Promise<OpenReply> }> {
  const handler = createGateway({
    services: [service],
    invoke: () => Promise.reject(new Error("the method streams")),
    invokeStream,
    limits: { ...defaultLimits, ...limits },
    clock,
    replies: new Map(),
    report: (error) => reported.push(error),
  });
  const server = await serveHandler(handler, version);
  onTestFinished(() => server[Symbol.asyncDispose]());
  return {
    ...server,
    open: async (request = {}) => {
      const reply = await openReply(server.url, version, { path: "/things/x", ...request });
      onTestFinished(() => reply.close());
      return reply;
    },
  };
}

async function textOf({ body }: OpenReply): Promise<string> {
  return Buffer.concat(await body.toArray()).toString();
}

async function readAll({ body }: OpenReply): Promise<readonly SentEvent[]> {
  const events: SentEvent[] = [];
  for await (const event of readEvents(body)) {
    events.push(event);
  }
  return events;
}

function aborted(signal: AbortSignal): Promise<unknown> {
  return signal.aborted ? Promise.resolve() : once(signal, "abort");
}

describe.each(versions)("a method that streams, over HTTP/%s", (version) => {
  test("sends each message as an event, whose id and type come from the fields that its proto names", async () => {
    const spaced = '{"a" :\n1}';
    const value = valueMessage(scanJson(Buffer.from(spaced), { name: "", limits: defaultLimits.output }));
    const server = await serve(version, async function* (_method, _request, call) {
      call.replyHeaders.set("x-execution-id", "7");
      yield thing({ name: "1.0", choice: { case: "one", value: "first" } });
      yield thing({ name: "1.1", choice: { case: "other", value: "" }, value });
      yield thing({ count: 3 });
    });
    const reply = await server.open({ headers: { "accept-encoding": "gzip" } });
    expect(reply.status).toBe(200);
    expect(reply.headers).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
      "x-request-id": "request-1",
      "x-execution-id": "7",
    });
    expect(reply.headers).not.toHaveProperty("content-encoding");
    expect(reply.headers).not.toHaveProperty("content-length");
    const [first, second, third, ...others] = await readAll(reply);
    expect([first?.type, second?.type, third?.type]).toEqual(["one", "other", undefined]);
    expect([first?.id, second?.id, third?.id]).toEqual(["1.0", "1.1", undefined]);
    expect(JSON.parse(first?.data ?? "")).toMatchObject({ name: "1.0", one: "first" });
    expect(second?.data).toContain(spaced);
    expect(JSON.parse(second?.data ?? "")).toMatchObject({ name: "1.1", other: "", value: { a: 1 } });
    expect(JSON.parse(third?.data ?? "")).toMatchObject({ count: 3 });
    expect(others).toEqual([]);
  });

  test("reads its request from path and query", async () => {
    let asked: unknown;
    const server = await serve(version, async function* (_method, request) {
      asked = request;
      yield thing({});
    });
    await textOf(await server.open({ path: "/things/a%2Fb?count=4" }));
    expect(asked).toMatchObject({ choice: { case: "one", value: "a/b" }, count: 4 });
    const refused = await server.open({ path: "/things/a?nothing=4" });
    expect([refused.status, JSON.parse(await textOf(refused)).error_code]).toEqual([400, "VALIDATION_ERROR"]);
  });

  test("that refuses before its first message is answered like any other", async () => {
    const server = await serve(version, async function* (_method, _request, call) {
      call.replyHeaders.set("x-execution-id", "7");
      yield await Promise.reject(new RequestError("QUEUE_FULL", "Too many.", { retryAfterSeconds: 3 }));
    });
    const reply = await server.open();
    expect(reply.status).toBe(429);
    expect(reply.headers).toMatchObject({
      "content-type": "application/json",
      "retry-after": "3",
      "x-execution-id": "7",
    });
    expect(JSON.parse(await textOf(reply))).toMatchObject({ status_code: 429, error_code: "QUEUE_FULL" });
  });

  test("that fails later ends with an event of the type error", async () => {
    const reported: unknown[] = [];
    const bug = new Error("a bug");
    const server = await serve(
      version,
      async function* () {
        yield thing({ name: "1" });
        throw bug;
      },
      { reported },
    );
    const reply = await server.open();
    const [first, last, ...others] = await readAll(reply);
    expect(first).toMatchObject({ id: "1" });
    expect(last).toEqual({ type: "error", data: expect.any(String) });
    expect(JSON.parse(last?.data ?? "")).toMatchObject({ status_code: 500, error_code: "SERVER_ERROR" });
    expect([others, reported]).toEqual([[], [bug]]);
  });

  test("that has no message is answered 204", async () => {
    const server = await serve(version, async function* () {});
    const reply = await server.open();
    expect([reply.status, await textOf(reply)]).toEqual([204, ""]);
  });

  test("shows that it goes on while it is silent", async () => {
    const clock = new ManualClock();
    const gate = Promise.withResolvers<void>();
    const server = await serve(
      version,
      async function* () {
        await gate.promise;
        yield thing({ name: "1" });
      },
      { clock },
    );
    const opening = server.open();
    await until("a wait on the clock", () => clock.waiting === 1, { everyMs: 1 });
    clock.advance(defaultLimits.eventOpenMs);
    const { status, body } = await opening;
    expect(status).toBe(200);
    const events = readEvents(body);
    const next = async (): Promise<SentEvent | undefined> => (await events.next()).value;
    expect(await next()).toEqual({ comment: "" });
    for (const _ of [1, 2]) {
      await until("a wait on the clock", () => clock.waiting === 1, { everyMs: 1 });
      clock.advance(defaultLimits.eventCommentMs - 1);
      clock.advance(1);
      expect(await next()).toEqual({ comment: "" });
    }
    gate.resolve();
    expect(await next()).toMatchObject({ id: "1" });
    expect(await next()).toBeUndefined();
  });

  test("learns that its caller has gone", async () => {
    const signals: AbortSignal[] = [];
    const server = await serve(version, async function* (_method, _request, { signal }) {
      signals.push(signal);
      yield thing({ name: "1" });
      await aborted(signal);
    });
    const reply = await server.open();
    reply.close();
    await Promise.all(signals.map(aborted));
    await server.lastServed();
  });

  test("goes no faster than it is read, and is cut where nothing is read for too long", async () => {
    const raw = new Uint8Array(64 * 1024);
    const many = 4_096;
    let pulled = 0;
    let isEnded = false;
    const server = await serve(
      version,
      async function* () {
        try {
          while (pulled < many) {
            pulled += 1;
            yield thing({ raw });
          }
        } finally {
          isEnded = true;
        }
      },
      { limits: { streamStallMs: 300 } },
    );
    await server.open();
    await server.lastServed();
    expect(isEnded).toBe(true);
    expect(pulled).toBeLessThan(many / 4);
  });

  test("goes on for a slow reader", async () => {
    const raw = new Uint8Array(64 * 1024);
    const server = await serve(version, async function* () {
      for (let count = 1; count <= 200; count += 1) {
        yield thing({ raw, count });
      }
    });
    const { body } = await server.open();
    const counts: number[] = [];
    for await (const { data = "" } of readEvents(body)) {
      counts.push(JSON.parse(data).count);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(counts).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
  });

  test("answers HEAD with the head alone, and runs no further", async () => {
    const signals: AbortSignal[] = [];
    const server = await serve(version, async function* (_method, _request, { signal }) {
      signals.push(signal);
      yield thing({ name: "1" });
      await aborted(signal);
    });
    const reply = await server.open({ method: "HEAD" });
    expect([reply.status, reply.headers["content-type"], await textOf(reply)]).toEqual([200, "text/event-stream", ""]);
    await Promise.all(signals.map(aborted));
    expect(signals).toHaveLength(1);
  });

  test("takes GET and HEAD", async () => {
    const server = await serve(version, async function* () {});
    const options = await server.open({ method: "OPTIONS" });
    expect([options.status, options.headers.allow]).toEqual([204, "GET, HEAD, OPTIONS"]);
    expect((await server.open({ method: "POST" })).status).toBe(405);
  });
});

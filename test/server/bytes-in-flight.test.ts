import { once } from "node:events";
import http2 from "node:http2";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Principal } from "../../src/domain/principal.ts";
import { Scope } from "../../src/gen/flowcall/v1/options_pb.ts";
import { ChunkBuffer } from "../../src/server/bodies/read-body.ts";
import { bytesMax, type RunningOptions, send, startServer, versions } from "./running-server.ts";

/* What bodies may hold at a time, and how many calls may be under way: nobody's part is all of it. */

/** A key is written `tk-organization-key`; its environment is called as its organisation is. */
function principalOf(key: string): Principal {
  const [, organizationId = "", keyId = ""] = key.split("-");
  return { organizationId, environmentId: organizationId, environment: "test", keyId, scopes: [Scope.EXECUTE] };
}

async function start(options: RunningOptions) {
  const running = await startServer({ ...options, keys: { authenticate: async (key) => principalOf(key) } });
  const connectTo = () => {
    const session = http2.connect(running.url);
    session.on("error", () => undefined);
    onTestFinished(() => session.destroy());
    return session;
  };
  return { ...running, connectTo };
}

/** Sends a body that is not whole; answers its stream, and the reply if one comes. */
function sendPart(session: http2.ClientHttp2Session, key: string, bytes: number) {
  const stream = session.request({ ":method": "POST", ":path": "/own", "x-api-key": key });
  stream.on("error", () => undefined);
  stream.write(Buffer.alloc(bytes));
  const status = once(stream, "response").then(
    ([headers]) => Number(headers[":status"]),
    () => 0,
  );
  return { stream, status, text: () => stream.toArray().then((all) => Buffer.concat(all).toString()) };
}

/** Settles when the server has taken in all that was sent before on a session: it answers frames in their order. */
async function settled(session: http2.ClientHttp2Session): Promise<void> {
  await new Promise((resolve) => session.ping(() => resolve(undefined)));
  await new Promise((resolve) => session.ping(() => resolve(undefined)));
}

const kilobytes = 1024;

test("an organisation holds half at the most with all its keys, and another one is served", async () => {
  const { url, connectTo } = await start({ limits: { bodyBytesMax: 100 * kilobytes } });
  const sessions = [connectTo(), connectTo(), connectTo()];
  const parts = sessions.map((session, index) => sendPart(session, `tk-greedy-key${index}`, 16 * kilobytes));
  await Promise.all(sessions.map(settled));
  const over = sendPart(connectTo(), "tk-greedy-key9", 10 * kilobytes);
  expect(await over.status).toBe(429);
  expect(await over.text()).toContain("organization_body_bytes");
  const other = await send("http1", url, {
    headers: { "x-api-key": "tk-other-key" },
    body: "x".repeat(20 * kilobytes),
  });
  expect(other.status).toBe(200);
  for (const { stream } of parts) {
    stream.close();
  }
  const body = "x".repeat(40 * kilobytes);
  await expect
    .poll(async () => (await send("http2", url, { headers: { "x-api-key": "tk-greedy-key9" }, body })).status)
    .toBe(200);
});

test("where the process holds all that it may, it says that it is full", async () => {
  const { url, connectTo } = await start({ limits: { bodyBytesMax: 64 * kilobytes } });
  for (const [key, bytes] of [
    ["tk-a-key", 30],
    ["tk-b-key", 16],
  ] as const) {
    const session = connectTo();
    sendPart(session, key, bytes * kilobytes);
    await settled(session);
  }
  const { status, text } = await send("http1", url, { headers: { "x-api-key": "tk-c-key" }, body: "x".repeat(60_000) });
  expect([status, text]).toEqual([503, expect.stringContaining("SERVER_BUSY")]);
});

test.each([
  ["one key, over many connections", { keyBodyBytesMax: 30 * kilobytes }, "key_body_bytes"],
  ["one connection", { connectionBodyBytesMax: 30 * kilobytes }, "connection_body_bytes"],
])("%s has its part of the bytes", async (who, limits, limit) => {
  const { connectTo } = await start({ limits });
  const first = connectTo();
  sendPart(first, "tk-a-key", 20 * kilobytes);
  await settled(first);
  const over = sendPart(who === "one connection" ? first : connectTo(), "tk-a-key", 20 * kilobytes);
  expect(await over.status).toBe(429);
  expect(await over.text()).toContain(limit);
  // One body alone may be as long as a body may be.
  first.destroy();
  await expect
    .poll(async () => {
      const { stream, status } = sendPart(connectTo(), "tk-a-key", bytesMax);
      stream.end();
      return await status;
    })
    .toBe(200);
});

describe.each(versions)("replies (%s)", (version) => {
  test("of which a key holds nearly all that it may refuse its next call before it is served", async () => {
    const served: string[] = [];
    const go = Promise.withResolvers<void>();
    const { url } = await start({
      limits: { keyBodyBytesMax: 64 * kilobytes },
      serve: async ({ response }, { headers, reserveReply }) => {
        const [key = ""] = headers.get("x-api-key") ?? [];
        served.push(key);
        if (headers.has("holds")) {
          reserveReply?.(61 * kilobytes);
          await go.promise;
        }
        response.end("served");
      },
    });
    const call = (key: string, more = {}) => send(version, url, { headers: { "x-api-key": key, ...more } });
    const first = call("tk-a-key", { holds: "1" });
    await expect.poll(() => served).toEqual(["tk-a-key"]);
    const refused = await call("tk-a-key");
    expect([refused.status, served]).toEqual([429, ["tk-a-key"]]);
    expect(refused.text).toContain("key_body_bytes");
    expect((await call("tk-b-other")).status).toBe(200);
    go.resolve();
    expect((await first).status).toBe(200);
    expect((await call("tk-a-key")).status).toBe(200);
  });

  test("are counted before they are read, and once", async () => {
    let begun = 0;
    const go = Promise.withResolvers<void>();
    const { url } = await start({
      limits: { keyBodyBytesMax: 64 * kilobytes },
      serve: async (exchange, { headers, reserveReply }) => {
        const bytes = Number(headers.get("bytes")?.[0]);
        reserveReply?.(bytes);
        reserveReply?.(bytes);
        exchange.holdReply(bytes);
        begun += 1;
        if (headers.has("holds")) {
          await go.promise;
        }
        exchange.response.end("served");
      },
    });
    const call = (more: Record<string, string>) =>
      send(version, url, { headers: { "x-api-key": "tk-a-key", ...more } });
    const first = call({ bytes: "20000", holds: "1" });
    await expect.poll(() => begun).toBe(1);
    expect((await call({ bytes: "40000" })).status).toBe(200);
    expect((await call({ bytes: "50000" })).status).toBe(429);
    go.resolve();
    expect((await first).status).toBe(200);
  });
});

test("a thousand calls of one organisation, all at the same moment, are served by turns with that of another", async () => {
  let served = 0;
  const { connectTo } = await start({
    serve: async ({ response }, { principal }) => {
      if (principal?.organizationId === "other") {
        response.end(String(served));
        return;
      }
      served += 1;
      // What holds the thread.
      for (const end = performance.now() + 2; performance.now() < end; ) {}
      response.end();
    },
  });
  const [many, other] = [connectTo(), connectTo()];
  await Promise.all([settled(many), settled(other)]);
  const calls = Array.from({ length: 128 }, () => {
    const stream = many.request({ ":path": "/own", "x-api-key": "tk-greedy-key" });
    return once(stream.resume(), "close");
  });
  await expect.poll(() => served).toBeGreaterThan(0);
  const stream = other.request({ ":path": "/own", "x-api-key": "tk-other-key" });
  const servedBefore = Number(Buffer.concat(await stream.toArray()).toString());
  expect(servedBefore).toBeLessThan(128);
  await Promise.all(calls);
  expect(served).toBe(128);
});

describe.each(versions)("calls under way (%s)", (version) => {
  test("are bounded for an environment before their bodies are read, and those that wait are not among them", async () => {
    let [begun, read] = [0, 0];
    const go = Promise.withResolvers<void>();
    const { url } = await start({
      limits: { environmentCallsMax: 2, environmentWaitingMax: 3 },
      serve: async (exchange, { onWait, headers }) => {
        begun += 1;
        if (headers.has("waits")) {
          onWait?.();
        }
        await go.promise;
        await exchange.readBody(bytesMax);
        read += 1;
        exchange.response.end("served");
      },
    });
    const call = (more = {}, key = "tk-a-key") =>
      send(version, url, { headers: { "x-api-key": key, ...more }, body: "x" });
    const under = async (count: number, more?: object, key?: string) => {
      const before = begun;
      const calls = Array.from({ length: count }, () => call(more, key));
      await expect.poll(() => begun - before).toBe(count);
      return calls;
    };
    const busy = await under(1);
    const waiting = await under(2, { waits: "1" });
    busy.push(...(await under(1)));
    const refused = await call();
    expect([refused.status, read]).toEqual([429, 0]);
    expect(refused.text).toContain("2 calls of this environment");
    const others = await under(2, {}, "tk-b-key");
    go.resolve();
    for (const one of [...busy, ...waiting, ...others]) {
      expect((await one).status).toBe(200);
    }
    expect((await call()).status).toBe(200);
  });

  test("that wait are bounded too", async () => {
    let begun = 0;
    const go = Promise.withResolvers<void>();
    const { url } = await start({
      limits: { environmentWaitingMax: 2 },
      serve: async ({ response }, { onWait }) => {
        begun += 1;
        onWait?.();
        await go.promise;
        response.end("served");
      },
    });
    const call = () => send(version, url, { headers: { "x-api-key": "tk-a-key" } });
    const waiting = [call(), call()];
    await expect.poll(() => begun).toBe(2);
    expect((await call()).status).toBe(429);
    go.resolve();
    for (const one of waiting) {
      expect((await one).status).toBe(200);
    }
    expect((await call()).status).toBe(200);
  });
});

test("chunks of any length are joined as they came", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 60 }), fc.nat(200_000), (small, length) => {
      const all = [...small, Buffer.alloc(length, 1), ...small];
      const chunks = new ChunkBuffer();
      for (const piece of all) {
        chunks.add(piece);
      }
      expect(chunks.concat().equals(Buffer.concat(all))).toBe(true);
    }),
  );
});

import { once } from "node:events";
import http2 from "node:http2";
import { connect, type Socket } from "node:net";
import type { Writable } from "node:stream";
import { setImmediate as nextLoopTurn, setTimeout as pause } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { AddressSlots } from "../../src/server/limits/address-slots.ts";
import { clientAddress } from "../../src/server/limits/client-address.ts";
import { frameTypes, http2Frame, preface } from "../support/http2-frames.ts";
import { bytesMax, goodKey, send, startServer, versions } from "./running-server.ts";

/* Who shows no key holds so many requests at a time and no more, and leaves room for other addresses. */

function openSession(url: string, localAddress: string): http2.ClientHttp2Session {
  const { hostname, port } = new URL(url);
  const createConnection = () => connect({ host: hostname, port: Number(port), localAddress });
  const session = http2.connect(url, { createConnection });
  session.on("error", () => undefined);
  onTestFinished(() => session.destroy());
  return session;
}

/** Asks for a page whose reply does not end, and answers once it has begun. */
async function hold(session: http2.ClientHttp2Session, path = "/public"): Promise<http2.ClientHttp2Stream> {
  const stream = session.request({ ":path": path });
  stream.on("error", () => undefined).resume();
  await Promise.race([once(stream, "response"), once(stream, "close")]);
  return stream;
}

test("an address has its part of requests without a key, and those with one are served beside it", async () => {
  const { url } = await startServer({
    limits: { keylessRequestsMax: 5, keylessRequestsPerAddressMax: 3 },
    serve: async ({ response }, { signal, principal }) => {
      if (principal !== undefined) {
        return void response.end("served");
      }
      // As a union of two kinds of streams it has no callable method.
      const reply: Writable = response;
      reply.write("begun");
      await once(signal, "abort");
    },
  });
  const first = openSession(url, "127.0.0.2");
  const held = await Promise.all([hold(first), hold(first), hold(first)]);
  expect((await hold(first)).closed).toBe(true);
  const refused = first.request({ ":path": "/own" });
  refused.on("error", () => undefined);
  await once(refused, "close");
  const served = first.request({ ":path": "/own", "x-api-key": goodKey });
  expect(Buffer.concat(await served.toArray()).toString()).toBe("served");
  // All places are held when the third one of the second address needs one: the first address has no more than that.
  const second = openSession(url, "127.0.0.3");
  await Promise.all([hold(second), hold(second)]);
  expect((await hold(second)).closed).toBe(true);
  const third = await hold(openSession(url, "127.0.0.4"));
  await expect.poll(() => held.map(({ closed }) => closed)).toEqual([true, false, false]);
  expect(third.closed).toBe(false);
});

test("places are moved from who holds the most, the oldest first, and never from who holds as few", () => {
  const places = new AddressSlots({ max: 4, perAddressMax: 3 });
  const [oldest, ...others] = [places.take("a"), places.take("a"), places.take("a"), places.take("b")];
  expect(places.take("a")).toBe("perAddressMax");
  const moved = places.take("b");
  const isRevoked = (slot: typeof moved | undefined) => typeof slot === "object" && slot.revoked.aborted;
  expect([oldest, ...others, moved].map(isRevoked)).toEqual([true, false, false, false, false]);
  expect(places.take("b")).toBe("max");
  expect(typeof places.take("c")).toBe("object");
});

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8::6", "2001:db8:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  [undefined, undefined],
])("the address %s counts as %s", (remoteAddress, counted) => {
  expect(clientAddress({ remoteAddress })).toBe(counted);
});

/** A connection that has said nothing yet, of an address whose share of refusals is used up: it will wait for its turn. */
async function dialBehindRefusal(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), localAddress: "127.0.0.6" });
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  socket.on("error", () => undefined).resume();
  await hold(openSession(url, "127.0.0.6"), "/nowhere");
  return socket;
}

test("a connection that sends more than headers may have while it waits for its turn is cut", async () => {
  const { url } = await startServer({ limits: { refusalsPerAddressMax: 1, connectionTurnMs: 1_000_000 } });
  const socket = await dialBehindRefusal(url);
  socket.write(Buffer.concat([preface, Buffer.alloc(32 * 1024)]));
  await once(socket, "close");
});

test("a connection that waits for its turn and breaks in pieces ends alone", async () => {
  const { url } = await startServer({ limits: { refusalsPerAddressMax: 1, connectionTurnMs: 200 } });
  const silent = await dialBehindRefusal(url);
  silent.write(preface);
  const ping = http2Frame({ type: frameTypes.ping, payload: Buffer.alloc(7) });
  for (let count = 0; count < 3; count += 1) {
    await pause(20);
    silent.write(ping);
  }
  await once(silent, "close");
  const served = openSession(url, "127.0.0.7").request({ ":path": "/own", "x-api-key": goodKey });
  expect(Buffer.concat(await served.toArray()).length).toBeGreaterThan(0);
});

test("a connection that breaks in pieces while it waits behind a burst of others ends alone", async () => {
  const { url } = await startServer();
  const { hostname, port } = new URL(url);
  const dial = (bytes: Buffer | string) => {
    const socket = connect({ host: hostname, port: Number(port), localAddress: "127.0.0.8" });
    socket.on("error", () => undefined).resume();
    socket.write(bytes);
    onTestFinished(() => void socket.destroy());
    return socket;
  };
  for (let count = 0; count < 100; count += 1) {
    dial("GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n");
  }
  const breaking = Array.from({ length: 20 }, () => dial(preface));
  const ping = http2Frame({ type: frameTypes.ping, payload: Buffer.alloc(7) });
  for (let count = 0; count < 20; count += 1) {
    await nextLoopTurn();
    for (const socket of breaking) {
      socket.write(ping);
    }
  }
  await Promise.all(breaking.map((socket) => socket.closed || once(socket, "close")));
  const served = openSession(url, "127.0.0.7").request({ ":path": "/own", "x-api-key": goodKey });
  expect(Buffer.concat(await served.toArray()).length).toBeGreaterThan(0);
});

test.each(versions)(
  "a body that comes in pieces while its connection waits behind a burst is read (%s)",
  async (version) => {
    const { url } = await startServer();
    const { hostname, port } = new URL(url);
    const body = "x".repeat(bytesMax);
    for (let count = 0; count < 100; count += 1) {
      const socket = connect({ host: hostname, port: Number(port), localAddress: "127.0.0.8" });
      socket.on("error", () => undefined).resume();
      socket.write("GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n");
      onTestFinished(() => void socket.destroy());
    }
    const calls = Array.from({ length: 20 }, () => send(version, url, { headers: { "x-api-key": goodKey }, body }));
    for (const { status } of await Promise.all(calls)) {
      expect(status).toBe(200);
    }
  },
);

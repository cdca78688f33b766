import { once } from "node:events";
import http2 from "node:http2";
import { connect, type Socket } from "node:net";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { EventLoopYielder } from "../../src/domain/event-loop-yielder.ts";
import { Admission } from "../../src/server/admission/admission.ts";
import { DecompressionQueue } from "../../src/server/bodies/decompression-queue.ts";
import { defaultServerLimits } from "../../src/server/limits/server-limits.ts";
import { Listener } from "../../src/server/listener.ts";

const connections = 40;
const ahead = 8;
const requestsPerTurnMax = 20;

/** A listener that knows how many requests it has read in one turn of the event loop at the most. */
async function startCounted() {
  const most = { inTurn: 0, inAll: 0 };
  let inTurn = 0;
  const listener = new Listener({
    host: "127.0.0.1",
    port: 0,
    limits: { ...defaultServerLimits, requestsPerTurnMax },
    exchange: {
      limits: defaultServerLimits,
      admission: new Admission(defaultServerLimits, new EventLoopYielder()),
      decompressions: new DecompressionQueue(),
    },
    log: pino({ level: "silent" }),
    penalties: { isActive: false, penaltyOf: () => undefined },
    queuedRequests: new Set(),
    receiver: {
      receive: ({ response }) => {
        if (inTurn === 0) {
          setImmediate(() => {
            inTurn = 0;
          });
        }
        inTurn += 1;
        most.inTurn = Math.max(most.inTurn, inTurn);
        most.inAll += 1;
        response.end();
      },
    },
  });
  await listener.start();
  onTestFinished(() => listener.stop());
  return { url: listener.url, port: Number(new URL(listener.url).port), most };
}

test("connections over HTTP/1.1 that all send ahead in one moment are read a few at a time, and all are served", async () => {
  const { port, most } = await startCounted();
  const get = "GET /public HTTP/1.1\r\nhost: a\r\n\r\n";
  const open = async (): Promise<Socket> => {
    const socket = connect({ port, host: "127.0.0.1" });
    onTestFinished(() => void socket.destroy());
    socket.write(get);
    await once(socket, "data");
    return socket;
  };
  const sockets = await Promise.all(Array.from({ length: connections }, open));
  most.inTurn = 0;
  for (const socket of sockets) {
    socket.resume().write(get.repeat(ahead));
  }
  await expect.poll(() => most.inAll, { timeout: 10_000 }).toBe(connections * (1 + ahead));
  // What one connection has sent is read together.
  expect(most.inTurn).toBeLessThanOrEqual(requestsPerTurnMax + ahead);
});

test("new connections that bring several requests each start a few at a time", async () => {
  const { port, most } = await startCounted();
  const get = "GET /public HTTP/1.1\r\nhost: a\r\n\r\n";
  for (let index = 0; index < connections; index += 1) {
    const socket = connect({ port, host: "127.0.0.1" });
    onTestFinished(() => void socket.destroy());
    socket.resume().write(get.repeat(ahead));
  }
  await expect.poll(() => most.inAll, { timeout: 10_000 }).toBe(connections * ahead);
  // Those of one batch, and those that start at once before it.
  expect(most.inTurn).toBeLessThanOrEqual(2 * 16 + ahead);
});

test("so are sessions of HTTP/2 with many streams each", async () => {
  const { url, most } = await startCounted();
  const streams = 16;
  const ask = (session: http2.ClientHttp2Session) => once(session.request({ ":path": "/public" }).resume(), "close");
  const open = async () => {
    const session = http2.connect(url);
    onTestFinished(() => session.destroy());
    await ask(session);
    return session;
  };
  const sessions = await Promise.all(Array.from({ length: 10 }, open));
  most.inTurn = 0;
  await Promise.all(sessions.flatMap((session) => Array.from({ length: streams }, () => ask(session))));
  expect(most.inAll).toBe(10 * (1 + streams));
  expect(most.inTurn).toBeLessThanOrEqual(requestsPerTurnMax + streams);
});

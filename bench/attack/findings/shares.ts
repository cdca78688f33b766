// Findings 11, 12, 20, 21 and 23: who takes more than a share of what all have together.

import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import type { Attack } from "../attack.ts";
import { type Attacker, grpcFrame, lengthField } from "../attacker.ts";
import { callApi, publish, publishLine } from "../tenants.ts";
import { groupOf } from "./memory.ts";

const hanging = { http: { method: "GET", url: "{{event.body.url}}" }, settings: { timeout_ms: 7_200_000 } };

/** An API that takes every call and answers none, until the attack is over. */
async function startHanging(attacker: Attacker): Promise<string> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined).resume();
    attacker.signal.addEventListener("abort", () => socket.destroy(), { once: true });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  attacker.signal.addEventListener("abort", () => server.close(), { once: true });
  // A server that listens on a port has an AddressInfo, which the type cannot know.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const threeNodes = [{ transform: { query: "$count(event)" } }, { response: { data: "{{node.2.body}}" } }];

export const shares: readonly Attack[] = [
  {
    id: "11",
    title: "300 linked accounts, one call each of an API that never answers",
    prepare: async ({ tenant, attackers, scale }) => {
      await publishLine(tenant, "hanging", [hanging]);
      const accounts = Math.ceil(300 * scale);
      for (let index = 0; index < accounts * attackers; index += 1) {
        await callApi(tenant, "PUT", `/api/v1/linked-account/many-${index}`, {});
      }
      return { accounts };
    },
    run: async (attacker) => {
      const url = await startHanging(attacker);
      const { index, given } = attacker.options;
      const accounts = Number(given["accounts"]);
      await Promise.all(
        Array.from({ length: accounts }, async (_, each) => {
          const account = `many-${accounts * index + each}`;
          await attacker.call("hanging", { url }, { linked_account_id: account }).catch(() => attacker.count("failed"));
        }),
      );
      await attacker.untilOver();
    },
  },
  {
    id: "12",
    title: "200 synchronous calls of 109 KB at a time, over 4 connections",
    isVolume: true,
    prepare: async ({ tenant }) => {
      await publishLine(tenant, "counts", threeNodes);
      return {};
    },
    run: (attacker) => callOverHttp2(attacker, JSON.stringify({ event: Array.from({ length: 20_000 }, (_, i) => i) })),
  },
  {
    id: "12b",
    title: "200 tiny synchronous calls at a time, over 4 connections",
    isVolume: true,
    prepare: async ({ tenant }) => {
      await publishLine(tenant, "counts", threeNodes);
      return {};
    },
    run: (attacker) => callOverHttp2(attacker, '{"event":[1]}'),
  },
  {
    id: "12c",
    title: "200 writes of drafts, accounts and keys at a time",
    isVolume: true,
    prepare: async ({ tenant }) => ({ id: await publishLine(tenant, "drafts", threeNodes) }),
    run: async (attacker) => {
      const nodes = JSON.stringify({
        nodes: [{ id: "1", transform: { query: `"${"x".repeat(50_000)}"` } }],
        edges: [],
      });
      const draft = { method: "PUT", path: `/api/v1/workflow/${attacker.options.given["id"]}/draft`, body: nodes };
      await attacker.repeat(200, async (lane, turn) => {
        if (lane % 4 === 0) {
          await attacker.send(draft);
        } else if (lane % 4 === 1) {
          await attacker.send({ method: "PUT", path: `/api/v1/linked-account/w-${lane}-${turn % 10}`, body: "{}" });
        } else if (lane % 4 === 2) {
          await attacker.send({ method: "GET", path: "/api/v1/execution?page_size=100" });
        } else {
          await attacker.send({ method: "GET", path: "/api/v1/workflow?page_size=100" });
        }
      });
    },
  },
  {
    id: "20",
    title: "10,000 watches of one execution with one read key",
    prepare: async ({ tenant }) => {
      await publishLine(tenant, "waits", [{ delay: { seconds: "3600" } }]);
      const headers = { linked_account_id: tenant.account };
      const { execution_id } = await callApi(tenant, "POST", "/api/v1/workflow/waits/execute", {}, headers);
      return { id: String(execution_id) };
    },
    run: async (attacker) => {
      const { given, key } = attacker.options;
      const request = grpcFrame(lengthField(1, String(given["id"])));
      await attacker.repeat(80, async () => {
        const session = attacker.connectHttp2();
        const watching = Array.from({ length: 125 }, async () => {
          const path = "/flowcall.v1.ExecutionService/WatchExecution";
          const stream = attacker.openStream(session, path, { "x-api-key": key }).resume();
          stream.end(request);
          await once(stream, "close");
        });
        await Promise.race([Promise.all(watching), once(session, "close", { signal: attacker.signal })]);
        session.destroy();
        await attacker.pause(1_000);
      });
    },
  },
  {
    id: "21",
    title: "both environments of one organisation fill the queue, at 1:100",
    environment: ({ queueMax = 100_000, environmentQueueMax = 50_000 }) => ({
      FLOWCALL_SLOTS: "64",
      FLOWCALL_QUEUE_MAX: String(Math.ceil(queueMax / 100)),
      FLOWCALL_ENVIRONMENT_QUEUE_MAX: String(Math.ceil(environmentQueueMax / 100)),
    }),
    prepare: async ({ tenant }) => {
      await publishLine(tenant, "hanging", [hanging]);
      await publishLine({ ...tenant, key: tenant.productionKey }, "hanging", [hanging]);
      return {};
    },
    run: async (attacker) => {
      const { key, productionKey } = attacker.options;
      const url = await startHanging(attacker);
      const request = { path: "/api/v1/workflow/hanging/execute", body: JSON.stringify({ url }) };
      await attacker.repeat(20, async (lane) => {
        const { status } = await attacker.send({ ...request, key: lane % 2 === 0 ? key : productionKey });
        if (status !== 200) {
          await attacker.pause(100);
        }
      });
    },
  },
  {
    id: "23",
    title: "60 pollers with a journal of 9,000 records that wake up every second",
    prepare: async ({ tenant }) => {
      const definition = groupOf(9_000, "1", [
        {
          group: {
            do_while: {
              condition: { comparisons: [{ left: "{{node.B0.body.iteration_count}}", operator: "lt", right: "39" }] },
            },
          },
        },
      ]);
      const poll = { id: "P", group_id: "B0", delay: { seconds: "1.1" } };
      await publish(tenant, "poller", {
        nodes: [...Object(definition["nodes"]), poll],
        edges: [...Object(definition["edges"]), { source: "B0", target: "P", port: "each" }],
      });
      return {};
    },
    run: async (attacker) => {
      await Promise.all(
        Array.from({ length: 60 }, () => attacker.call("poller", {}).catch(() => attacker.count("failed"))),
      );
      await attacker.untilOver();
    },
  },
];

async function callOverHttp2(attacker: Attacker, body: string): Promise<void> {
  const { key, account } = attacker.options;
  await attacker.repeat(4, async () => {
    const session = attacker.connectHttp2();
    const call = async () => {
      const stream = session.request({
        ":method": "POST",
        ":path": "/api/v1/workflow/counts/execute",
        "x-api-key": key,
        linked_account_id: account,
        sync_execution: "true",
        "content-type": "application/json",
      });
      stream.on("error", () => attacker.count("stream failed"));
      stream.once("response", (head) => attacker.count(String(head[":status"])));
      stream.resume().end(body);
      await once(stream, "close");
    };
    const lane = async () => {
      while (!attacker.isOver && !session.destroyed) {
        await call().catch(() => attacker.pause(20));
      }
    };
    await Promise.race([
      Promise.all(Array.from({ length: 50 }, lane)),
      once(session, "close", { signal: attacker.signal }),
    ]);
    session.destroy();
  });
}

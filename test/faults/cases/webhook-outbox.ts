import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { productionKey, testKey } from "../../support/flowcall.ts";
import { makeDataDir, startServerProcess } from "../../support/server-process.ts";
import type { Composition } from "../composed-server.ts";
import type { Failpoint } from "../failpoint.ts";
import type { FaultCase, FaultRun } from "../fault-case.ts";
import { until } from "../until.ts";

const calls = 3;

/** Where an end commits, and where its delivery is taken and settled. */
const points: readonly Failpoint[] = [
  { store: "executions", method: "recordFinished" },
  { store: "executions", method: "finish" },
  { store: "executions", method: "stop" },
  { store: "deliveries", method: "take" },
  { store: "deliveries", method: "settle" },
].flatMap((point): readonly Failpoint[] =>
  (["before", "during", "after"] as const).map((moment) => ({ ...point, moment }) as Failpoint),
);

/** Each end is told of, however the process dies that ended it. */
export const toldEnds: FaultCase = {
  id: "A15",
  title: "SIGKILL at each commit of an end and its delivery, and a delivery apart from its end is caught",
  run: async (run) => {
    const chosen = run.size === "full" ? points : points.slice(run.seed % points.length).slice(0, 1);
    const breaches: string[] = [];
    for (const point of chosen) {
      const breach = await breachAt(run, { failpoint: point });
      run.say(`killed ${point.moment} ${point.store}.${point.method}: ${breach ?? "each end is told of"}`);
      breaches.push(...(breach === undefined ? [] : [breach]));
    }
    assert.deepEqual(breaches, []);
    if (run.size === "full") {
      const caught = await breachAt(run, { mutant: "outbox-apart" });
      assert.match(String(caught), /not told of/);
      run.say(`outbox-apart is caught: ${caught}`);
    }
    return { kills: chosen.length, lost: 0 };
  },
};

async function breachAt({ postgres }: FaultRun, composition: Composition): Promise<string | undefined> {
  const told = new Set<string>();
  const receiver = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    request.on("end", () => {
      told.add(JSON.parse(text).execution_id);
      response.end();
    });
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const hook = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  const database = await postgres.createExampleDatabase();
  const data = await makeDataDir();
  const start = (own: Composition) =>
    startServerProcess({
      dataDir: data.dataDir,
      program: ["test/faults/composed-server.ts", JSON.stringify(own)],
      environment: {
        FLOWCALL_PORT: "0",
        FLOWCALL_DATABASE_URL: database.url,
        FLOWCALL_DATA_DIR: data.dataDir,
        FLOWCALL_EXAMPLES: "false",
        FLOWCALL_POOL_KEPT: "0",
        FLOWCALL_EGRESS_ALLOW: "127.0.0.1",
        FLOWCALL_TEST_KEY: testKey,
        FLOWCALL_PRODUCTION_KEY: productionKey,
        FLOWCALL_ENCRYPTION_KEYS: Buffer.alloc(32, 1).toString("base64"),
        FLOWCALL_LOG_LEVEL: "silent",
      },
    });
  const first = await start(composition);
  const exited = once(first.child, "exit");
  let second: Awaited<ReturnType<typeof start>> | undefined;
  try {
    await ask(first.url, "PUT", "webhook-endpoint/all", { url: hook, states: ["COMPLETED", "ERRORED", "STOPPED"] });
    first.child.send("arm");
    await until("the failpoint to be armed", () => once(first.child, "message").then(([{ kind }]) => kind === "armed"));
    const isDead = exited.then(() => true);
    for (let round = 0; round < 20 && !(await Promise.race([isDead, pause(200, false)])); round += 1) {
      await Promise.all(Array.from({ length: calls }, () => callAll(first.url).catch(() => undefined)));
    }
    const [, signal] = await exited;
    assert.equal(signal, "SIGKILL");
    second = await start({});
    await database.query(
      "update lease set expire_time = now() where expire_time < (select max(expire_time) from lease)",
    );
    await database.query("update webhook_delivery set due_time = least(due_time, now())");
    const left = async () => (await database.query("select from execution_claim limit 1")).rows.length;
    await until("the end of all", async () => (await left()) === 0);
    const { rows } = await database.query("select id from execution where state is not null");
    const missing = () => rows.map(({ id }) => String(id)).filter((id) => !told.has(id));
    for (let tries = 0; tries < 50 && missing().length > 0; tries += 1) {
      await pause(100);
    }
    return missing().length === 0 ? undefined : `${missing().length} of ${rows.length} ends are not told of`;
  } finally {
    first.child.kill("SIGKILL");
    await exited;
    if (second !== undefined) {
      const ended = once(second.child, "exit");
      second.child.kill("SIGKILL");
      await ended;
    }
    receiver.closeAllConnections();
    receiver.close();
    await database.drop();
    await data.remove();
  }
}

async function ask(url: string, method: string, path: string, body: unknown, headers: Record<string, string> = {}) {
  const reply = await fetch(`${url}/api/v1/${path}`, {
    method,
    headers: {
      "x-api-key": testKey,
      "content-type": "application/json",
      linked_account_id: "john@acme.io",
      ...headers,
    },
    body: JSON.stringify(body),
  });
  const text = await reply.text();
  assert.equal(reply.status, 200, text);
  return JSON.parse(text);
}

/** An execution that ends in memory alone, one that is owned first, and one that is stopped. */
async function callAll(url: string): Promise<void> {
  const execute = (workflow: string, isSync: boolean) =>
    ask(url, "POST", `workflow/${workflow}/execute`, {}, { sync_execution: String(isSync) });
  await execute("create-task", true);
  await execute("create-task", false);
  const { execution_id } = await execute("slow-task", false);
  await ask(url, "POST", `execution/${execution_id}/stop`, {});
}

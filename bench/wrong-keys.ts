// What callers with a good key feel of others who send keys that do not exist, all different. Run it with:
//
//   node bench/wrong-keys.ts [at a time, 1000 if absent] [seconds, 8]
//
// The service is a process of its own on a Postgres of its own in a folder under the system's temporary one; so is the
// sender of the wrong keys, which has 100 requests at a time on each of its connections, from the addresses 127.0.0.2 to
// 127.0.0.5. A synchronous call is made every 100 ms from 127.0.0.1. Each line says its times in milliseconds beside one
// kind of wrong keys, how many of them were answered a second and how, how much of a core the service took, and how many
// look-ups the database had.

import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:http2";
import { connect as connectSocket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { Pool } from "undici";
import { type BenchServer, key, serve, startPostgres, stopServer } from "./service.ts";

const streams = 100;
const clockTicksPerSecond = 100;

type Invent = (count: number) => string;

/** Ways to make up a key: as nothing at all, or from one that is good. */
const inventions: Readonly<Record<string, (good: string) => Invent>> = {
  "of no form": () => () => `tk${randomUUID()}`,
  "like a good one": (good) => (count) => `${good.slice(0, 2)}${String(count).padStart(12, "0")}${good.slice(14)}`,
};

if (process.argv[2] === "serve") {
  await serve();
} else if (process.argv[2] === "attack") {
  await attack(process.argv.slice(3));
} else {
  await measure(Number(process.argv[2] ?? 1_000), Number(process.argv[3] ?? 8));
}

async function measure(atATime: number, seconds: number): Promise<void> {
  const postgres = await startPostgres();
  const db = new pg.Client(postgres.connection);
  await db.connect();
  const server = await postgres.startServer(import.meta.filename, ["serve"]);
  const client = new Pool(server.url, { connections: 64 });
  try {
    const good = await createKey(client);
    await db.query("vacuum analyze");
    await probe(client, 2);
    tell("nothing", await beside(server, client, db, seconds, []));
    for (const kind of Object.keys(inventions)) {
      tell(kind, await beside(server, client, db, seconds, ["attack", server.url, kind, good, String(atATime)]));
    }
  } finally {
    await client.close();
    await stopServer(server);
    await db.end();
    await postgres.stop();
  }
}

async function beside(server: BenchServer, client: Pool, db: pg.Client, seconds: number, attacker: readonly string[]) {
  const child = attacker.length === 0 ? undefined : fork(import.meta.filename, attacker);
  if (child !== undefined) {
    await once(child, "message");
  }
  const [cpuBefore, lookUpsBefore, startTime] = [await cpuSeconds(server), await lookUps(db), performance.now()];
  const times = await probe(client, seconds);
  const elapsed = (performance.now() - startTime) / 1_000;
  const cores = ((await cpuSeconds(server)) - cpuBefore) / elapsed;
  // What Postgres counts reaches its view within a second.
  await sleep(1_200);
  const asked = (await lookUps(db)) - lookUpsBefore;
  let answers: Readonly<Record<string, number>> = {};
  if (child !== undefined) {
    child.send("stop");
    [answers] = await once(child, "message");
    child.disconnect();
    await once(child, "exit");
  }
  return { times, cores, asked, answers, elapsed };
}

function tell(kind: string, { times, cores, asked, answers, elapsed }: Awaited<ReturnType<typeof beside>>): void {
  const sorted = times.toSorted((left, right) => left - right);
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
  const line = {
    beside: kind,
    calls: times.length,
    p50: at(0.5),
    p99: at(0.99),
    cores: Number(cores.toFixed(2)),
    answersPerSecond: Object.fromEntries(
      Object.entries(answers).map(([status, n]) => [status, Math.round(n / elapsed)]),
    ),
    indexScansPerSecond: Math.round(asked / elapsed),
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** A synchronous call every 100 ms, whether the one before is answered or not. */
async function probe(client: Pool, seconds: number): Promise<readonly number[]> {
  const calls = Array.from({ length: seconds * 10 }, async (_, index) => {
    await sleep(index * 100);
    const startTime = performance.now();
    const { statusCode, body } = await client.request({
      method: "POST",
      path: "/api/v1/workflow/create-task/execute",
      headers: {
        "x-api-key": key,
        linked_account_id: "john@acme.io",
        slug: "asana",
        sync_execution: "true",
        "content-type": "application/json",
      },
      body: JSON.stringify({ "Task Name": "Sample task", Assigned_to: "John Doe" }),
    });
    const text = await body.text();
    if (statusCode !== 200) {
      throw new Error(`the call was answered ${statusCode}: ${text}`);
    }
    return performance.now() - startTime;
  });
  return await Promise.all(calls);
}

async function createKey(client: Pool): Promise<string> {
  const { body } = await client.request({
    method: "POST",
    path: "/api/v1/api-key",
    headers: { "x-api-key": key, "content-type": "application/json" },
    body: JSON.stringify({ name: "good", scopes: ["read"] }),
  });
  return Object(await body.json()).key;
}

async function cpuSeconds({ child }: BenchServer): Promise<number> {
  const fields = (await readFile(`/proc/${child.pid}/stat`, "utf8")).replace(/^.*\) /s, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / clockTicksPerSecond;
}

async function lookUps(db: pg.Client): Promise<number> {
  const { rows } = await db.query(
    "select sum(idx_scan)::int as scans from pg_stat_user_indexes where relname = 'api_key'",
  );
  return rows[0].scans;
}

/** Sends wrong keys until it is told to stop, and tells how many were answered with which status. */
async function attack([url = "", kind = "", good = "", atATime = ""]: readonly string[]): Promise<void> {
  const invent = inventions[kind]?.(good) ?? (() => "");
  const { hostname, port } = new URL(url);
  const answers: Record<string, number> = {};
  let count = 0;
  let isOver = false;
  const sessions = Array.from({ length: Math.ceil(Number(atATime) / streams) }, (_, index) =>
    connect(url, {
      createConnection: () =>
        connectSocket({ host: hostname, port: Number(port), localAddress: `127.0.0.${2 + (index % 4)}` }),
    }),
  );
  const ask = (session: (typeof sessions)[number]) => {
    if (isOver) {
      return;
    }
    count += 1;
    const request = session.request({ ":path": "/api/v1/execution", "x-api-key": invent(count) });
    request.on("response", ({ ":status": status }) => {
      answers[String(status)] = (answers[String(status)] ?? 0) + 1;
    });
    request.on("error", () => undefined);
    request.on("close", () => ask(session));
    request.resume();
  };
  for (const session of sessions) {
    session.on("error", () => undefined);
    for (let index = 0; index < streams; index += 1) {
      ask(session);
    }
  }
  await sleep(1_000);
  for (const status of Object.keys(answers)) {
    answers[status] = 0;
  }
  process.send?.("started");
  await once(process, "message");
  process.send?.(answers);
  isOver = true;
  for (const session of sessions) {
    session.destroy();
  }
}

// What a second process brings: the same queue of call-http executions, whose API answers after 20 ms, is run by one
// process and by two of 16 slots each, in turns, in one run. Run it with:
//
//   node bench/two-processes.ts [executions] [rounds]
//
// It prints the seconds of each round, from the moment that all processes are ready to the end of the last execution, and
// the ratio of the medians. At most 0.65 is the aim.

import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { Pool } from "undici";
import { key, median, serve, startPostgres, stopServer } from "./service.ts";

const answerMs = 20;

/** Accepts executions at a process that has one slot, and whose API does not answer: all but one are queued. */
async function fill(url: string, count: number, upstream: string): Promise<void> {
  const pool = new Pool(url, { connections: 32 });
  const headers = { "x-api-key": key, linked_account_id: "john@acme.io", "content-type": "application/json" };
  const body = JSON.stringify({ url: upstream, data: {} });
  let left = count;
  const lane = async () => {
    while (left > 0) {
      left -= 1;
      const reply = await pool.request({ path: "/api/v1/workflow/call-http/execute", method: "POST", headers, body });
      const text = await reply.body.text();
      if (reply.statusCode !== 200) {
        throw new Error(text);
      }
    }
  };
  await Promise.all(Array.from({ length: 32 }, lane));
  await pool.close();
}

async function measure(count = 3_000, rounds = 3): Promise<void> {
  const postgres = await startPostgres();
  const startServer = (slots: number) =>
    postgres.startServer(import.meta.filename, ["serve"], {
      FLOWCALL_SLOTS: String(slots),
      FLOWCALL_EGRESS_ALLOW: "127.0.0.1",
    });
  const client = new pg.Client(postgres.connection);
  await client.connect();
  let isAnswering = false;
  const upstream = createServer((request, response) => {
    request.resume();
    if (isAnswering) {
      setTimeout(() => response.end("{}"), answerMs);
    }
  }).listen(0, "127.0.0.1");
  await once(upstream, "listening");
  const address = upstream.address();
  if (address === null || typeof address === "string") {
    throw new Error("there is no port");
  }
  const seconds: Record<1 | 2, number[]> = { 1: [], 2: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const processes of round % 2 === 0 ? ([1, 2] as const) : ([2, 1] as const)) {
      isAnswering = false;
      const first = await startServer(1);
      await fill(first.url, count, `http://127.0.0.1:${address.port}/`);
      first.child.kill("SIGKILL");
      await once(first.child, "exit");
      upstream.closeAllConnections();
      isAnswering = true;
      const servers = await Promise.all(Array.from({ length: processes }, () => startServer(16)));
      const begun = performance.now();
      const isOver = async () => (await client.query("select from execution_claim limit 1")).rowCount === 0;
      while (!(await isOver())) {
        await pause(20);
      }
      const took = (performance.now() - begun) / 1000;
      process.stderr.write(`${processes}: ${took.toFixed(2)} s\n`);
      seconds[processes].push(took);
      for (const server of servers) {
        await stopServer(server);
      }
    }
  }
  const [one, two] = [median(seconds[1]), median(seconds[2])];
  process.stdout.write(
    `${count} executions: ${one.toFixed(2)} s by one process, ${two.toFixed(2)} s by two, ${(two / one).toFixed(2)} times\n`,
  );
  await client.end();
  upstream.closeAllConnections();
  upstream.close();
  await postgres.stop();
}

if (process.argv[2] === "serve") {
  await serve();
} else {
  const [count, rounds] = process.argv.slice(2).map(Number);
  await measure(count, rounds);
}

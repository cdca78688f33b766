// What a script of ten lines costs a synchronous call beside an empty Transform, how many such calls a service answers, what
// an idle child for scripts holds, and what another environment notices of a hundred endless scripts. Run it with:
//
//   node bench/code.ts
//
// The service is a process of its own on a Postgres of its own, on the same machine as what calls it. It prints a line of
// JSON for each. Aims: `codeMs.p50` at most 5 above `transformMs.p50`; 500 calls a second; beside the scripts a call without
// Code has a p99 of at most 5 times the quiet one, and one with Code a p95 of at most 300 ms.

import { readdir, readFile } from "node:fs/promises";
import type { JsonObject } from "@bufbuild/protobuf";
import { Pool } from "undici";
import { putWorkflow } from "../test/support/flowcall.ts";
import { key, serve, startPostgres, stopServer } from "./service.ts";

const otherKey = "pk00000000-0000-4000-8000-000000000002";
const calls = 600;
const lanes = 16;
const burst = 6_000;
const hogs = 100;

const items = Array.from({ length: 10 }, (_, index) => ({ name: `item ${index}`, price: index, tax: 0.2 }));
const tenLines = `function yourFunction({ items }) {
  let total = 0;
  const names = [];
  for (const item of items) {
    const price = item.price * (1 + item.tax);
    total += Math.round(price * 100) / 100;
    names.push(item.name.toUpperCase());
  }
  return { total, names, count: items.length };
}`;
const parameters = [{ key: "items", value: "{{event.body.items}}" }];
const workflows: Readonly<Record<string, JsonObject>> = {
  transform: { transform: { query: "{}" } },
  code: { code: { parameters, code: tenLines } },
  endless: { code: { code: "function yourFunction() { for (;;); }" } },
};

if (process.argv[2] === "serve") {
  await serve();
} else {
  await measure();
}

async function measure(): Promise<void> {
  const postgres = await startPostgres();
  const server = await postgres.startServer(import.meta.filename, ["serve"], { FLOWCALL_PRODUCTION_KEY: otherKey });
  const pool = new Pool(server.url, { connections: lanes });
  const call = async (workflow: string, { by = key, isSync = true } = {}): Promise<void> => {
    const { statusCode, body } = await pool.request({
      path: `/api/v1/workflow/${workflow}/execute`,
      method: "POST",
      headers: {
        ...{ "x-api-key": by, linked_account_id: "john@acme.io", "content-type": "application/json" },
        sync_execution: String(isSync),
      },
      body: JSON.stringify({ items }),
    });
    const text = await body.text();
    if (statusCode !== 200) {
      throw new Error(`${workflow}: ${statusCode} ${text}`);
    }
  };
  try {
    for (const [alias, node] of Object.entries(workflows)) {
      for (const by of [key, otherKey]) {
        await putWorkflow(server.url, { alias, key: by, definition: graphOf(node) });
      }
    }
    await times(300, () => call("transform"));
    await times(300, () => call("code"));
    say({ transformMs: await times(calls, () => call("transform")), codeMs: await times(calls, () => call("code")) });
    say({ children: await childrenOf(server.child.pid ?? 0) });
    for (const workflow of ["transform", "code"]) {
      say({ workflow, callsPerSecond: await ratePerSecond(() => call(workflow)) });
    }

    const other = (workflow: string) => times(calls, () => call(workflow, { by: otherKey }));
    await other("code");
    say({ quiet: { transformMs: await other("transform"), codeMs: await other("code") } });
    await Promise.all(Array.from({ length: hogs }, () => call("endless", { isSync: false })));
    say({ besideEndless: { transformMs: await other("transform"), codeMs: await other("code") } });
  } finally {
    await pool.close();
    await stopServer(server);
    await postgres.stop();
  }
}

function graphOf(node: JsonObject): JsonObject {
  const nodes = [
    { id: "1", start: { api_call: {} } },
    { id: "2", ...node },
    { id: "3", response: { data: "{{node.2.body}}" } },
  ];
  const edges = [
    { source: "1", target: "2" },
    { source: "2", target: "3" },
  ];
  return { nodes, edges };
}

/** Milliseconds of one call after the other. */
async function times(count: number, call: () => Promise<void>) {
  const taken: number[] = [];
  for (let turn = 0; turn < count; turn += 1) {
    const begin = performance.now();
    await call();
    taken.push(performance.now() - begin);
  }
  taken.sort((left, right) => left - right);
  const at = (part: number) => Number((taken[Math.floor(count * part)] ?? 0).toFixed(2));
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

async function ratePerSecond(call: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  let left = burst;
  const lane = async () => {
    while (left > 0) {
      left -= 1;
      await call();
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return Math.round((burst / (performance.now() - begin)) * 1_000);
}

/** What each child for scripts holds, in MB: all, its part of what it shares, and what it has alone. */
async function childrenOf(parent: number) {
  const sizes = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.includes("pool-child") && command.includes(`\0${parent}\0code`)) {
      const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
      const of = (name: RegExp) =>
        Math.round([...rollup.matchAll(name)].reduce((sum, [, kilobytes]) => sum + Number(kilobytes), 0) * 1_024e-6);
      sizes.push({
        rss: of(/^Rss:\s+(\d+)/gm),
        pss: of(/^Pss:\s+(\d+)/gm),
        own: of(/^Private_\w+:\s+(\d+)/gm),
      });
    }
  }
  return sizes;
}

function say(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

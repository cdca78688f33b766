// What shared commits bring: the same service with one statement for each call (a connection of the pool each), and with
// calls that share theirs, in turns, in one run, on one durable Postgres. Run it with:
//
//   node bench/shared-commits.ts [rounds] [seconds]
//
// It prints, for synchronous and asynchronous calls of create-task, the calls a second at 64 connections and the median
// in milliseconds at one, medians of all rounds, and the ratios. At least 2 and at most 1.2 are the aims.

import { Pool } from "undici";
import { defaultBatchLimits } from "../src/storage/postgres/statement-batcher.ts";
import { openStores } from "../src/storage/stores.ts";
import { key, median, serve, startPostgres, stopServer } from "./service.ts";

const [rounds, seconds] = process.argv.slice(2).map(Number);
const alone = { rowsMax: 1, inFlightMax: Number.POSITIVE_INFINITY };

type Figures = { readonly perSecond: number; readonly medianMs: number };

/** Calls for a time on so many connections, each one call after the other. */
async function load(url: string, connections: number, isSync: boolean, ms: number): Promise<Figures> {
  const pool = new Pool(url, { connections, pipelining: 1 });
  const took: number[] = [];
  const begun = performance.now();
  const body = '{"Task Name": "Sample task", "Assigned_to": "John Doe"}';
  const headers = {
    "x-api-key": key,
    linked_account_id: "john@acme.io",
    slug: "asana",
    sync_execution: String(isSync),
    "content-type": "application/json",
  };
  const lane = async () => {
    while (performance.now() - begun < ms) {
      const sent = performance.now();
      const reply = await pool.request({ path: "/api/v1/workflow/create-task/execute", method: "POST", headers, body });
      const text = await reply.body.text();
      if (reply.statusCode !== 200) {
        throw new Error(text);
      }
      took.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: connections }, lane));
  const perSecond = (took.length * 1000) / (performance.now() - begun);
  await pool.close();
  return { perSecond, medianMs: median(took) };
}

async function measure(roundCount = 5, roundSeconds = 3): Promise<void> {
  const postgres = await startPostgres();
  const names = ["alone", "shared"] as const;
  const figures = Object.fromEntries(["sync", "async"].map((kind) => [kind, { alone: open(), shared: open() }]));
  // One server at a time has the machine, and which one comes first changes from round to round.
  for (let round = 0; round <= roundCount; round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const server = await postgres.startServer(import.meta.filename, ["serve", name]);
      const { url } = server;
      await load(url, 64, true, 1_000);
      for (const kind of ["sync", "async"]) {
        const one = await load(url, 1, kind === "sync", roundSeconds * 1000);
        const many = await load(url, 64, kind === "sync", roundSeconds * 1000);
        process.stderr.write(
          `${round} ${name} ${kind} ${one.medianMs.toFixed(2)} ms, ${many.perSecond.toFixed(0)}/s\n`,
        );
        // The first round warms up.
        if (round === 0) {
          continue;
        }
        figures[kind]?.[name].medianMs.push(one.medianMs);
        figures[kind]?.[name].perSecond.push(many.perSecond);
      }
      await stopServer(server);
    }
  }
  for (const [kind, { alone: without, shared: together }] of Object.entries(figures)) {
    const perSecond = [without, together].map((of) => median(of.perSecond));
    const medianMs = [without, together].map((of) => median(of.medianMs));
    const times = (values: readonly number[]) => ((values[1] ?? 0) / (values[0] ?? 1)).toFixed(2);
    process.stdout.write(
      `${kind}: ${perSecond.map((value) => value.toFixed(0)).join(" and ")} calls a second at 64 connections, ` +
        `${times(perSecond)} times; ${medianMs.map((ms) => ms.toFixed(2)).join(" and ")} ms at one, ${times(medianMs)} times\n`,
    );
  }
  await postgres.stop();
}

function open() {
  const perSecond: number[] = [];
  const medianMs: number[] = [];
  return { perSecond, medianMs };
}

if (process.argv[2] === "serve") {
  const batchLimits = process.argv[3] === "alone" ? alone : defaultBatchLimits;
  await serve({ open: (database) => openStores(database, batchLimits) });
} else {
  await measure(rounds, seconds);
}

// Flowcall beside a bare echo, and beside DBOS and Restate where they are asked for, in one run on one machine.
// Run `npm run bench -- --help`. docs/performance.md has the method, and the figures of a dated run.

import { parseArgs } from "node:util";
import { checkBound } from "./compare/bound.ts";
import { measureHistory } from "./compare/history.ts";
import { measureAll, openLoop } from "./compare/measure.ts";
import { callsAtOnce, measureRest } from "./compare/memory.ts";
import { startEcho, startFlowcall } from "./compare/own-targets.ts";
import { installPeers, startDbos, startRestate } from "./compare/peers.ts";
import { printTable } from "./compare/table.ts";
import type { Target } from "./compare/target.ts";

const usage = `npm run bench -- [options]

The page's workflow (Start, Transform, Response), called by 1, 16 and 64 connections, synchronously, asynchronously (counted
when it has ended) and by gRPC, beside an echo that does nothing: throughput, latency, CPU of a call with its Postgres,
memory, and bytes that an execution takes in the database. Medians of several rounds, in turns. Takes about five minutes.

  --peers              also DBOS and Restate, with and without a step; installs them into a temporary folder
  --workers N          also Flowcall with so many workers
  --rounds N           3 by default
  --seconds N          how long each load lasts; 3 by default
  --connections LIST   1,16,64 by default
  --bound              only the check of CI: CPU of a synchronous call as a multiple of the echo's, against the recorded bound
  --history N          only what a call and a list cost with N finished executions of 30 days, beside 10,000 of them; 10,000,000
                       take 20 GB in the folder of the system for temporary files
  --help
`;

const { values } = parseArgs({
  options: {
    peers: { type: "boolean", default: false },
    workers: { type: "string" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "3" },
    connections: { type: "string", default: "1,16,64" },
    bound: { type: "boolean", default: false },
    history: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}

if (values.history !== undefined) {
  await measureHistory(Number(values.history));
  process.exit(0);
}

const targets: Target[] = [];
// A signal alone would leave the processes of the targets behind.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void stopAll().finally(() => process.exit(1)));
}
try {
  targets.push(await startEcho());
  const flowcall = await startFlowcall();
  targets.push(flowcall);
  if (values.bound) {
    process.exitCode = (await checkBound(targets)) ? 0 : 1;
  } else {
    await compare(flowcall);
  }
} finally {
  await stopAll();
}

async function stopAll(): Promise<void> {
  for (const target of targets.splice(0).reverse()) {
    await target.stop();
  }
}

async function compare(flowcall: Target): Promise<void> {
  if (values.workers !== undefined) {
    targets.push(await startFlowcall(Number(values.workers)));
  }
  if (values.peers) {
    await startPeers();
  }
  const connections = values.connections.split(",").map(Number);
  const options = { rounds: Number(values.rounds), seconds: Number(values.seconds), connections };
  const rows = await measureAll(targets, options);
  printTable(targets, rows);
  await openLoop(targets, rows, options.seconds);
  await measureRest(targets);
  await callsAtOnce(flowcall);
}

/** A peer that cannot be installed or started is left out, and that is said. */
async function startPeers(): Promise<void> {
  const leftOut = (error: unknown) =>
    process.stderr.write(`left out: ${error instanceof Error ? error.message : error}\n`);
  const folder = await installPeers().catch(leftOut);
  if (typeof folder !== "string") {
    return;
  }
  for (const withStep of [true, false]) {
    for (const start of [startDbos, startRestate]) {
      await start(folder, withStep).then((target) => targets.push(target), leftOut);
    }
  }
}

import { setTimeout as pause } from "node:timers/promises";
import { usageOf } from "../attack/processes.ts";
import { runLoad } from "./load.ts";
import type { Target } from "./target.ts";

const restSeconds = 30;
const loadSeconds = 5;

/** The memory of each target 30 s after a load at 64 connections, and what an execution takes in the database. */
export async function measureRest(targets: readonly Target[]): Promise<void> {
  process.stdout.write(
    `\nMemory of the processes ${restSeconds} s after 64 connections, Postgres apart, nothing forced\n`,
  );
  const bytesOf = new Map<string, number>();
  for (const { name, calls, databaseBytes } of targets) {
    const before = await databaseBytes?.();
    const result = calls.sync && (await runLoad({ call: calls.sync, connections: 64, seconds: loadSeconds }));
    if (before !== undefined && databaseBytes !== undefined && result !== undefined) {
      bytesOf.set(name, ((await databaseBytes()) - before) / Math.max(1, result.calls));
    }
  }
  await pause(1_000 * restSeconds);
  for (const { name, rootPid } of targets) {
    const bytes = bytesOf.get(name);
    const mebibytes = (usageOf(rootPid).rssBytes / 1024 ** 2).toFixed(0);
    process.stdout.write(
      `  ${name}: ${mebibytes} MiB${bytes === undefined ? "" : `, ${bytes.toFixed(0)} bytes an execution in the database`}\n`,
    );
  }
}

/** 64 calls at once, each with 1 MiB and 50,000 values: all of them have to end rightly, whatever the heap's limit is. */
export async function callsAtOnce({ calls: { sync } }: Target): Promise<void> {
  if (sync === undefined) {
    return;
  }
  const filler = Array.from({ length: 50_000 }, (_, index) => `value ${index % 1_000}`.padEnd(17, "."));
  const body = JSON.stringify({ "Task Name": "large", Assigned_to: "all", filler }).slice(0, -2);
  const whole = `${body}]}`;
  const call = async () => {
    const headers = { "content-type": "application/json", ...sync.headers };
    const response = await fetch(sync.url, { method: "POST", headers, body: whole });
    const text = await response.text();
    return response.ok ? "200" : `${response.status} ${text.slice(0, 120)}`;
  };
  const answers = await Promise.all(Array.from({ length: 64 }, call));
  const counted = Map.groupBy(answers, (answer) => answer);
  process.stdout.write(`\n64 calls at once of ${(whole.length / 1024 ** 2).toFixed(2)} MiB and 50,000 values each\n`);
  for (const [answer, all] of counted) {
    process.stdout.write(`  ${all.length} × ${answer}\n`);
  }
}

import { setTimeout as pause } from "node:timers/promises";
import { postgresCpuMs, usageOf } from "../attack/processes.ts";
import { median } from "../service.ts";
import { type LoadResult, runLoad } from "./load.ts";
import type { Kind, Target } from "./target.ts";

export const kinds: readonly Kind[] = ["sync", "async", "grpc"];

/** A load of one target. */
export type Row = {
  readonly target: string;
  readonly kind: Kind;
  readonly connections: number;
  /** Calls a second; asynchronous ones count when they have ended. */
  readonly rate: number;
  readonly bad: number;
  /** In milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** CPU of a call in microseconds, the Postgres of the target included. */
  readonly cpuUs: number;
  readonly rssMiB: number;
};

export type MeasureOptions = {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: readonly number[];
};

/** The longest time that what was accepted may take to end. */
const drainSecondsMax = 120;

/** Loads all targets in turns, so that what else the machine does hits all of them. */
export async function measureAll(targets: readonly Target[], options: MeasureOptions): Promise<readonly Row[]> {
  const { rounds, seconds, connections } = options;
  for (const target of targets) {
    for (const kind of kinds) {
      // To warm up.
      await measureOne(target, kind, { connections: 16, seconds: Math.min(2, seconds) });
    }
  }
  const rows: Row[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    for (const count of connections) {
      for (const target of targets) {
        process.stderr.write(`round ${round} of ${rounds}, ${count} connections: ${target.name}\n`);
        for (const kind of kinds) {
          const row = await measureOne(target, kind, { connections: count, seconds });
          if (row !== undefined) {
            rows.push(row);
          }
        }
      }
    }
  }
  return rows;
}

/** One load of one kind; undefined where the target does not know that kind. */
export async function measureOne(
  target: Target,
  kind: Kind,
  { connections, seconds, rate }: { readonly connections: number; readonly seconds: number; readonly rate?: number },
): Promise<Row | undefined> {
  const call = target.calls[kind];
  if (call === undefined) {
    return undefined;
  }
  const before = cpuMs(target);
  const startTime = performance.now();
  const result = await runLoad({ call, connections, seconds, ...(rate !== undefined && { rate }) });
  if (kind === "async") {
    await drained(target);
  }
  const took = kind === "async" ? (performance.now() - startTime) / 1_000 : result.seconds;
  const { rssBytes } = usageOf(target.rootPid);
  return rowOf({ target, kind, connections, took, result, cpu: cpuMs(target) - before, rssBytes });
}

/** In an open loop, at half of what each target can do at the most connections: its latency as callers see it. */
export async function openLoop(targets: readonly Target[], rows: readonly Row[], seconds: number): Promise<void> {
  process.stdout.write("\nOpen loop of synchronous calls, at half of the rate with the most connections\n");
  const most = Math.max(...rows.map(({ connections }) => connections));
  for (const target of targets) {
    const rate = 0.5 * medianOf(rows, { target: target.name, kind: "sync", connections: most }, "rate");
    const row = await measureOne(target, "sync", { connections: 4 * most, seconds: 2 * seconds, rate });
    if (row !== undefined) {
      const { p50, p99, bad } = row;
      process.stdout.write(
        `  ${target.name}: ${rate.toFixed(0)}/s, p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms${bad > 0 ? `, ${bad} FAILED` : ""}\n`,
      );
    }
  }
}

export function medianOf(
  rows: readonly Row[],
  of: Pick<Row, "target" | "kind" | "connections">,
  figure: "rate" | "p50" | "p99" | "cpuUs" | "rssMiB",
): number {
  const same = rows.filter(
    ({ target, kind, connections }) => target === of.target && kind === of.kind && connections === of.connections,
  );
  return same.length === 0 ? Number.NaN : median(same.map((row) => row[figure]));
}

async function drained({ pending }: Target): Promise<void> {
  for (const endTime = performance.now() + 1_000 * drainSecondsMax; performance.now() < endTime; ) {
    if (pending === undefined || (await pending()) === 0) {
      return;
    }
    await pause(20);
  }
}

function cpuMs({ rootPid }: Target): number {
  return usageOf(rootPid).cpuMs + postgresCpuMs(rootPid);
}

function rowOf(measured: {
  readonly target: Target;
  readonly kind: Kind;
  readonly connections: number;
  readonly took: number;
  readonly result: LoadResult;
  readonly cpu: number;
  readonly rssBytes: number;
}): Row {
  const { target, kind, connections, took, result, cpu, rssBytes } = measured;
  const { calls, bad, p50, p99 } = result;
  return {
    target: target.name,
    kind,
    connections,
    rate: (calls - bad) / took,
    bad,
    p50,
    p99,
    cpuUs: (1_000 * cpu) / Math.max(1, calls),
    rssMiB: Math.round(rssBytes / 1024 ** 2),
  };
}

import { once } from "node:events";
import { findAttack } from "../../bench/attack/attacks.ts";
import { type Measured, measureOn } from "../../bench/attack/measure.ts";
import type { Target } from "../../bench/attack/server.ts";
import { type Bounds, bounds, judge } from "../../bench/attack/verdict.ts";
import type { Environment } from "../../src/config.ts";
import { boundOf } from "./bound.ts";
import type { Composition } from "./composed-server.ts";
import type { FaultRun } from "./fault-case.ts";
import { TestBed } from "./test-bed.ts";

const mebibyte = 1024 ** 2;

/** Where a server that breaks its bound is killed, to spare the machine. */
const rssMaxBytes = 1_600 * mebibyte;

/** How long the server has to come to rest, in a full run. */
const restSeconds = 50;

export type Attacked = {
  /** Of `bench/attack.ts`; all of them at once. */
  readonly attacks: readonly string[];
  readonly seconds: number;
  /** Which part of its size an attack has that is too large for a sample. */
  readonly scale?: number;
  readonly processes?: number;
  readonly environment?: Environment;
  /** How the processes are composed, where they are not `src/main.ts`. */
  readonly composition?: Composition;
  /** How long what others had under way has to end. */
  readonly drainSeconds?: number;
};

/**
 * Attacks a service beside another organisation that does nothing wrong. Answers what was measured and what did not hold,
 * in words.
 */
export async function attack(run: FaultRun, attacked: Attacked) {
  const { attacks, seconds, scale = 1, processes = 1, environment = {}, composition, drainSeconds = 30 } = attacked;
  const bed = await TestBed.start({
    database: await run.postgres.createExampleDatabase(),
    processes,
    environment: { FLOWCALL_POOL_KEPT: "1", ...environment },
    ...(composition !== undefined && {
      program: ["test/faults/composed-server.ts", JSON.stringify(composition)],
    }),
  });
  try {
    const isFull = run.size === "full" && composition === undefined;
    const measured = await measureOn(targetOf(bed), attacks.map(findAttack), {
      ...{ seconds, scale, strength: 1, organizations: 1, rssMaxBytes },
      baselineSeconds: 1,
      quietSeconds: isFull ? 10 : 0,
      drainSeconds,
      restSeconds: isFull ? restSeconds : 0,
    });
    const { row, breaches } = judge(measured, isFull ? bounds : sampleBounds(run));
    run.say(`${attacks.join()}: ${JSON.stringify({ ...row, ...measured.counts })}`);
    return { measured, breaches, figures: figuresOf(measured) };
  } finally {
    await bed.stop();
  }
}

/** A sample shares the machine with other tests: what takes time is held to looser bounds, and memory to the same. */
function sampleBounds(run: FaultRun): Bounds {
  const p99Ms = boundOf({ ...run, size: "sample" }, bounds.p99Ms);
  return { ...bounds, p99Ms, p99VolumeMs: p99Ms, restMiB: bounds.rssMiB, leaseMs: Number.NEGATIVE_INFINITY };
}

function targetOf(bed: TestBed): Target {
  const { url, child } = bed.server(0);
  return {
    url,
    rootPid: child.pid ?? 0,
    connection: bed.database.connection,
    heapBytes: async () => undefined,
    isAlive: () => child.exitCode === null && child.signalCode === null,
    exited: once(child, "exit").then(([code, signal]) => String(signal ?? code)),
    kill: () => void child.kill("SIGKILL"),
  };
}

function figuresOf({ during, watch, ends }: Measured) {
  return {
    calls: during.times.length,
    lost: during.lost.length,
    refused: during.refused.length,
    slowestMs: Math.max(...during.times),
    healthzMs: watch.healthzMs,
    rssPeakMiB: watch.rssPeakBytes / mebibyte,
    leaseLeastMs: watch.leaseLeastMs,
    unknown: ends?.unknown ?? 0,
    twice: ends?.twice ?? 0,
  };
}

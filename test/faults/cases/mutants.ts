import assert from "node:assert/strict";
import { testKey } from "../../support/flowcall.ts";
import type { Composition } from "../composed-server.ts";
import { endure, type Ordeal, type Stage } from "../endure.ts";
import type { FaultCase, FaultRun } from "../fault-case.ts";
import { Breach, type Invariant } from "../invariants.ts";
import type { Mutant } from "../mutants.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";
import { stopOwner, stoppedAtEnd } from "./stopped-owner.ts";

/** Those that a kill, a stop or a wait shows. Each other one is shown by the case of what it takes away. */
type TriedMutant = Extract<
  Mutant,
  "no-fence" | "ack-before-commit" | "no-checkpoint" | "sweep-off" | "notify-only" | "key-per-attempt"
>;

/** What notices a mutant, at the least. */
type Trial = { readonly invariant: Invariant; readonly run: (run: FaultRun, mutant: Mutant) => Promise<unknown> };

/** Long enough for a service that is right: its lease runs out, and a sweep follows. */
const drainMs = 15_000;

/** So long that many are in the middle of a call when it happens. */
const answerMs = 300;

/** How often a wait is made for an end elsewhere. */
const tries = 3;

/** Each has processes of its own. */
const mutantsAtOnce = 2;

const trials: Readonly<Record<TriedMutant, Trial>> = {
  "no-fence": {
    invariant: "I2",
    run: (run, mutant) => endureWith(run, { mutant, ...stoppedAtEnd }, { processes: 2, faults: stopOwnerOfMany }),
  },
  "ack-before-commit": {
    invariant: "I1",
    run: (run, mutant) => endureWith(run, { mutant }, { processes: 1, faults: killAtFirstAnswers }),
  },
  "no-checkpoint": { invariant: "I4", run: endureKill },
  "sweep-off": { invariant: "I1", run: endureKill },
  "notify-only": { invariant: "I11", run: waitElsewhere },
  "key-per-attempt": { invariant: "I5", run: endureKill },
};

/** The control of all other cases: what is wrong on purpose has to be noticed, and by what is there to notice it. */
export const caughtMutants: FaultCase = {
  id: "A5",
  title: "a service that is wrong in one of six ways is caught",
  run: async (run) => {
    // The keys of a record over a union.
    const all = Object.keys(trials) as readonly TriedMutant[];
    const first = Math.floor(run.random() * all.length);
    // A sample has one of them, drawn by its seed.
    const mutants = run.size === "full" ? all : all.slice(first, first + 1);
    const caught: PromiseSettledResult<readonly [Mutant, string]>[] = [];
    for (let start = 0; start < mutants.length; start += mutantsAtOnce) {
      const some = mutants.slice(start, start + mutantsAtOnce);
      caught.push(...(await Promise.allSettled(some.map((mutant) => catchMutant(run, mutant)))));
    }
    const missed = caught.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    if (missed.length > 0) {
      throw new AggregateError(missed, missed.map(String).join("\n"));
    }
    return Object.fromEntries(caught.flatMap((one) => (one.status === "fulfilled" ? [one.value] : [])));
  },
};

async function catchMutant(run: FaultRun, mutant: TriedMutant): Promise<readonly [Mutant, string]> {
  const { invariant, run: runTrial } = trials[mutant];
  const breach = await breachOf(runTrial(run, mutant));
  const caughtBy = breach?.invariants ?? [];
  assert.ok(caughtBy.includes(invariant), `${mutant} is not caught by ${invariant}: ${breach?.message}`);
  run.say(`${mutant} is caught by ${breach?.message}`);
  return [mutant, caughtBy.join("+")];
}

/** What a trial breaks; undefined where it breaks nothing. */
export async function breachOf(trial: Promise<unknown>): Promise<Breach | undefined> {
  try {
    await trial;
    return undefined;
  } catch (error) {
    if (error instanceof Breach) {
      return error;
    }
    throw error;
  }
}

async function endureKill(run: FaultRun, mutant: Mutant): Promise<void> {
  await endureWith(run, { mutant }, { processes: 1, faults: killAmongMany });
}

/** Some have a first call behind them and wait for the answer to the next: what would make it again shows. */
async function killAmongMany(stage: Stage): Promise<void> {
  const { sink } = stage.bed;
  await until("some to be between their calls", () => sink.countSince("3", Date.now() - answerMs / 2) > 5, {
    everyMs: 5,
  });
  await killOnce(stage);
}

async function stopOwnerOfMany(stage: Stage): Promise<void> {
  await someEnded(stage);
  await stopOwner(stage, { victim: 1, isOver: true });
}

async function killAtFirstAnswers(stage: Stage): Promise<void> {
  await until("the first answers", () => stage.load.ids.length > 0, { everyMs: 1 });
  await killOnce(stage);
}

async function killOnce({ bed, happened }: Stage): Promise<void> {
  await bed.kill(0);
  await happened();
  await bed.startServer(0);
}

/** When others have begun, and are in the middle of it. */
async function someEnded({ ended }: Stage): Promise<void> {
  await until("some to have ended", async () => (await ended()) > 10);
}

async function endureWith(
  run: FaultRun,
  composition: Composition,
  { processes, faults }: Pick<Ordeal, "processes" | "faults">,
): Promise<void> {
  await endure(run, {
    database: await run.postgres.createExampleDatabase(),
    processes,
    calls: 90,
    composition,
    answerMs,
    drainMs,
    planned: 1,
    lossesPerFault: 1,
    faults,
  });
}

/** Waits at one process for the end of what the other one runs. */
async function waitElsewhere({ postgres }: FaultRun, mutant: Mutant): Promise<void> {
  const bed = await TestBed.start({
    database: await postgres.createExampleDatabase(),
    processes: 2,
    program: ["test/faults/composed-server.ts", JSON.stringify({ mutant })],
  });
  try {
    const [runs = "", waits = ""] = bed.urls;
    bed.sink.answerMs = 1_500;
    // On a slow machine the execution may outlast the wait, or the other process take it over: then once more.
    for (let key = 1; key <= tries; key += 1) {
      await callUpstream(runs, { key, url: bed.sink.url, waitSeconds: 0 });
      const status = await callUpstream(waits, { key, url: bed.sink.url, waitSeconds: 6 });
      const missed = await bed.count("execution where end_time < now() - interval '2 seconds'");
      if (status === 202 && missed === key) {
        throw new Breach(new Map([["I11", ["an end that nobody told for 2 s"]]]));
      }
    }
  } finally {
    await bed.stop();
  }
}

async function callUpstream(
  at: string,
  { key, url, waitSeconds }: { readonly key: number; readonly url: string; readonly waitSeconds: number },
): Promise<number> {
  const reply = await fetch(`${at}/api/v1/workflow/call-http/execute`, {
    method: "POST",
    headers: {
      "x-api-key": testKey,
      linked_account_id: "john@acme.io",
      "content-type": "application/json",
      "idempotency-key": String(key),
      prefer: `wait=${waitSeconds}`,
    },
    body: JSON.stringify({ url, data: {} }),
  });
  await reply.arrayBuffer();
  return reply.status;
}

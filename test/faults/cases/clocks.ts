import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { Environment } from "../../../src/config.ts";
import { putWorkflow } from "../../support/flowcall.ts";
import type { TestDatabase } from "../../support/postgres.ts";
import { boundOf } from "../bound.ts";
import { awaitedLater, execute } from "../calls.ts";
import { faketimeLibrary, shiftedClock, startClockedPostgres } from "../faked-clock.ts";
import type { FaultCase, FaultFigures, FaultRun } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import type { Mutant } from "../mutants.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

const hour = 3_600;

/** How much later than its Delay ends an execution may go on. */
const lateMsMax = 5_000;

/** What no machine has to be able to is not shown where it is not. */
const skipped: FaultFigures = { skipped: "this machine has no libfaketime" };

const call = { method: "POST", url: "{{event.body.url}}", json: "{}" };

/** Of one service: how it is composed, how many call it and how often, and how long each of their executions sleeps. */
type Trial = {
  readonly mutant?: Mutant;
  readonly count: number;
  readonly everyMs: number;
  readonly delayMs: number;
};

const fullTrial: Trial = { count: 60, everyMs: 100, delayMs: 3_000 };
const sampleTrial: Trial = { count: 12, everyMs: 100, delayMs: 1_500 };

/** How often the database's clock is set, and to how far from the right time, in seconds. */
type Settings = { readonly shifts: readonly number[]; readonly everyMs: number };

const fullSettings: Settings = { shifts: [hour, 0, -hour, 0], everyMs: 9_000 };
const sampleSettings: Settings = { shifts: [hour, 0], everyMs: 1_500 };
/** Who judges by a clock that was set may be a moment late for once. */
const controlSettings: Settings = { shifts: [hour, 0, -hour, 0, hour, 0, -hour, 0], everyMs: 3_000 };

export const shiftedProcesses: FaultCase = {
  id: "A9",
  title: "of three processes one has a clock that is an hour behind, and one an hour ahead",
  run: async (run) => {
    const library = faketimeLibrary();
    if (library === undefined) {
      return skipped;
    }
    const isFull = run.size === "full";
    const figures = holding(await shiftProcesses(run, library, isFull ? fullTrial : sampleTrial));
    if (!isFull) {
      return figures;
    }
    const waits = await shiftProcesses(run, library, { ...fullTrial, mutant: "own-waits" });
    const leases = await shiftProcesses(run, library, { ...fullTrial, mutant: "own-leases" });
    return {
      ...figures,
      "own-waits": catchMutant(run, "own-waits", { seen: waits, breach: /was over after/ }),
      "own-leases": catchMutant(run, "own-leases", { seen: leases, breach: /made again/ }),
    };
  },
};

export const setDatabaseClock: FaultCase = {
  id: "A9b",
  title: "the database's clock is set an hour ahead, an hour back, and right again",
  run: async (run) => {
    const library = faketimeLibrary();
    if (library === undefined) {
      return skipped;
    }
    const isFull = run.size === "full";
    const settings = isFull ? fullSettings : sampleSettings;
    const figures = holding(await setClock(run, library, { settings, trial: isFull ? fullTrial : sampleTrial }));
    if (!isFull) {
      return figures;
    }
    const trial = { ...fullTrial, mutant: "judges-at-once" } as const;
    const seen = await setClock(run, library, { settings: controlSettings, trial });
    return { ...figures, "judges-at-once": catchMutant(run, trial.mutant, { seen, breach: /made again/ }) };
  },
};

/** What was measured, and what did not hold, in words. */
type Seen = { readonly figures: FaultFigures; readonly breaches: readonly string[] };

function holding({ figures, breaches }: Seen): FaultFigures {
  assert.deepEqual(breaches, []);
  return figures;
}

function catchMutant(
  run: FaultRun,
  mutant: Mutant,
  { seen, breach }: { readonly seen: Seen; readonly breach: RegExp },
): string {
  const caught = seen.breaches.filter((each) => breach.test(each));
  assert.ok(caught.length > 0, `${mutant} is not caught: ${seen.breaches.join("; ")}`);
  run.say(`${mutant} is caught: ${seen.breaches.join("; ")}`);
  return caught.join("; ");
}

async function shiftProcesses(run: FaultRun, library: string, trial: Trial): Promise<Seen> {
  const clocks = [{}, shiftedClock(library, -hour), shiftedClock(library, hour)];
  const bed = await startBed(await run.postgres.createExampleDatabase(), { clocks, trial });
  try {
    return await callAndWait(run, bed, trial);
  } finally {
    await bed.stop();
  }
}

async function setClock(
  run: FaultRun,
  library: string,
  { settings, trial }: { readonly settings: Settings; readonly trial: Trial },
): Promise<Seen> {
  const { shifts, everyMs } = settings;
  const postgres = await startClockedPostgres(library);
  try {
    const bed = await startBed(await postgres.createExampleDatabase(), { clocks: [{}, {}], trial });
    try {
      /** When it was set forward: what sleeps then is due early. */
      const forwardTimes: number[] = [];
      const setting = awaitedLater(
        (async () => {
          for (const [index, shift] of shifts.entries()) {
            await pause(everyMs);
            await postgres.setClock(shift);
            if (shift > (shifts[index - 1] ?? 0)) {
              forwardTimes.push(Date.now());
            }
            run.say(`the database's clock is ${shift} s from the right time`);
          }
        })(),
      );
      // Calls come until all is set, and for a while after.
      const count = Math.ceil(((shifts.length + 0.5) * everyMs) / 200);
      const seen = await callAndWait(run, bed, { ...trial, count, everyMs: 200, forwardTimes });
      await setting;
      return seen;
    } finally {
      await bed.stop();
    }
  } finally {
    await postgres.stop();
  }
}

async function startBed(
  database: TestDatabase,
  { clocks, trial }: { readonly clocks: readonly Environment[]; readonly trial: Trial },
): Promise<TestBed> {
  const { mutant, delayMs } = trial;
  const bed = await TestBed.start({
    database,
    processes: clocks.length,
    environmentOf: (index) => clocks[index] ?? {},
    ...(mutant !== undefined && { program: ["test/faults/composed-server.ts", JSON.stringify({ mutant })] }),
  });
  const seconds = String(delayMs / 1_000);
  const steps = [{ start: { api_call: {} } }, { http: call }, { delay: { seconds } }, { http: call }];
  const nodes = steps.map((step, index) => ({ id: String(index + 1), ...step }));
  const edges = nodes.slice(1).map(({ id }, index) => ({ source: String(index + 1), target: id }));
  await putWorkflow(bed.server(0).url, { alias: "later", definition: { nodes, edges } });
  return bed;
}

/** Each execution calls, waits for the same time by everybody's watch, and calls again, each once. */
async function callAndWait(
  run: FaultRun,
  bed: TestBed,
  { count, everyMs, delayMs, forwardTimes = [] }: Trial & { readonly forwardTimes?: readonly number[] },
): Promise<Seen> {
  // So long that a process which is taken for dead has something under way.
  bed.sink.answerMs = run.size === "full" ? 1_000 : 500;
  const ids: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const { url } = bed.server(index % bed.urls.length);
    const { id, status } = await execute(url, { workflow: "later", payload: { url: bed.sink.url } });
    assert.equal(status, 200);
    ids.push(id);
    await pause(everyMs);
  }
  const drainMs = await until("the end of all", async () => (await bed.count("execution_claim")) === 0, {
    withinMs: 120_000,
  });
  const states = await checkLedger(bed.query, ids);
  const failed = [...states.values()].filter((state) => state !== "COMPLETED").length;
  const twice = [...bed.sink.calls.values()].filter(({ times }) => times.length > 1).length;
  const waits = ids.map((id) => {
    const [first = 0, second = 0] = ["2", "4"].map((path) => bed.sink.calls.get(`${id}:${path}:0`)?.times[0]);
    const isEarly = forwardTimes.some((time) => first <= time && time <= second);
    return { ms: second - first - bed.sink.answerMs, isEarly };
  });
  const leastMs = Math.min(...waits.flatMap(({ ms, isEarly }) => (isEarly ? [] : [ms])));
  const mostMs = Math.max(...waits.map(({ ms }) => ms));
  const breaches = [
    ...(failed > 0 ? [`${failed} executions have not completed`] : []),
    ...(twice > 0 ? [`an owner that lives is taken for dead, and ${twice} of its calls are made again`] : []),
    ...(failed === 0 && leastMs < delayMs - 50 ? [`a Delay of ${delayMs} ms was over after ${leastMs} ms`] : []),
    ...(mostMs > delayMs + boundOf(run, lateMsMax) ? [`a Delay of ${delayMs} ms was over after ${mostMs} ms`] : []),
  ];
  const figures = { executions: ids.length, lost: 0, doubleResults: 0, callsTwice: twice, leastMs, mostMs, drainMs };
  return { figures, breaches };
}

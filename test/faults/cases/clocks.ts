import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { putWorkflow } from "../../support/flowcall.ts";
import type { TestDatabase } from "../../support/postgres.ts";
import { boundOf } from "../bound.ts";
import { execute } from "../calls.ts";
import { faketimeLibrary, shiftedClock } from "../faked-clock.ts";
import type { FaultCase, FaultFigures, FaultRun } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

const delayMs = 3_000;
const hour = 3_600;

/** How much later than its Delay ends an execution may go on. */
const lateMsMax = 5_000;

/** What no machine has to be able to is not shown where it is not. */
const skipped: FaultFigures = { skipped: "this machine has no libfaketime" };

const call = { method: "POST", url: "{{event.body.url}}", json: "{}" };

export const shiftedProcesses: FaultCase = {
  id: "A9",
  title: "of three processes one has a clock that is an hour behind, and one an hour ahead",
  run: async (run) => {
    const library = faketimeLibrary();
    if (library === undefined) return skipped;
    const shifts = [0, -hour, hour];
    const bed = await startBed(await run.postgres.createDatabase(), shifts.length);
    try {
      for (const [index, shift] of shifts.entries()) {
        if (shift === 0) continue;
        await bed.end(index, "SIGTERM");
        await bed.startServer(index, shiftedClock(library, shift));
      }
      const count = run.size === "full" ? 60 : 15;
      return await callAndWait(run, bed, { count, everyMs: 100 });
    } finally {
      await bed.stop();
    }
  },
};

async function startBed(database: TestDatabase, processes: number): Promise<TestBed> {
  const bed = await TestBed.start({ database, processes });
  const steps = [{ start: { api_call: {} } }, { http: call }, { delay: { seconds: "3" } }, { http: call }];
  const nodes = steps.map((step, index) => ({ id: String(index + 1), ...step }));
  const edges = nodes.slice(1).map(({ id }, index) => ({ source: String(index + 1), target: id }));
  await putWorkflow(bed.server(0).url, { alias: "later", definition: { nodes, edges } });
  return bed;
}

/** Each execution calls, waits for three seconds by everybody's watch, and calls again, each once. */
async function callAndWait(
  run: FaultRun,
  bed: TestBed,
  { count, everyMs }: { readonly count: number; readonly everyMs: number },
): Promise<FaultFigures> {
  // So long that a process which is taken for dead has something under way.
  bed.sink.answerMs = 1_000;
  const ids: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const { url } = bed.server(index % bed.urls.length);
    const { id, status } = await execute(url, { workflow: "later", payload: { url: bed.sink.url } });
    assert.equal(status, 200);
    ids.push(id);
    await pause(everyMs);
  }
  const withinMs = Math.min(boundOf(run, 20_000), 120_000);
  const drainMs = await until("the end of all", async () => (await bed.count("execution_claim")) === 0, {
    withinMs,
  }).finally(async () => {
    const { rows } = await bed.query(
      "select due_time - now() as due, owner, losses, epoch from execution_claim limit 5",
    );
    if (rows.length > 0) run.say(`left: ${JSON.stringify(rows)}`);
  });
  const states = await checkLedger(bed.query, ids);
  assert.deepEqual(new Set(states.values()), new Set(["COMPLETED"]));
  const twice = [...bed.sink.calls].filter(([, { times }]) => times.length > 1).map(([key]) => key);
  const delays = ids.map((id) => {
    const [first = 0, second = 0] = ["2", "4"].map((path) => bed.sink.calls.get(`${id}:${path}:0`)?.times[0]);
    return second - first - bed.sink.answerMs;
  });
  assert.deepEqual(twice, [], "an owner that lives is taken for dead, and its calls are made again");
  const [least, most] = [Math.min(...delays), Math.max(...delays)];
  assert.ok(least >= delayMs - 50, `a Delay of ${delayMs} ms was over after ${least} ms`);
  assert.ok(most <= delayMs + boundOf(run, lateMsMax), `a Delay of ${delayMs} ms was over after ${most} ms`);
  return { executions: ids.length, lost: 0, doubleResults: 0, callsTwice: twice.length, least, most, drainMs };
}

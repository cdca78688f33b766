import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { productionKey } from "../../support/flowcall.ts";
import { assertWithin } from "../bound.ts";
import { awaitedLater, execute, percentile } from "../calls.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

const slots = 16;
const callMs = 50;
const callers = 32;

/**
 * How long the other's executions may take to start. The slots are given to the accounts by turns, and some are left for
 * who has few.
 */
const startMsMax = 2_000;

/** A flood takes minutes on a machine with other work. */
const patience = { withinMs: 900_000 };

/** Who calls beside the flood: another account of another environment. */
const other = { account: "jane@acme.io", apiKey: productionKey };

export const flood: FaultCase = {
  id: "C2",
  title: "one account floods with 10,000 calls while another calls once a second",
  run: async (run) => {
    const { size, postgres, say } = run;
    const [count, everyMs] = size === "full" ? [10_000, 1_000] : [300, 200];
    const environment = { FLOWCALL_SLOTS: String(slots), FLOWCALL_QUEUE_MAX: "20000" };
    const bed = await TestBed.start({ database: await postgres.createExampleDatabase(), processes: 1, environment });
    try {
      bed.sink.answerMs = callMs;
      const { url } = bed.server(0);
      const call = { workflow: "call-http", payload: { url: bed.sink.url, data: {} } };
      const quiet = await startDelay(bed, url);
      const ids: string[] = [];
      let left = count;
      const accept = async () => {
        while (left > 0) {
          left -= 1;
          const { status, id } = await execute(url, call);
          assert.equal(status, 200);
          ids.push(id);
        }
      };
      const flooding = awaitedLater(Promise.all(Array.from({ length: callers }, accept)));
      const delays: Promise<Start>[] = [];
      const startTime = performance.now();
      let drainMs = 0;
      const drained = awaitedLater(
        flooding.then(async () => {
          say(`${ids.length} are accepted`);
          await until("the end of the flood", async () => (await bed.count("execution_claim")) === 0, patience);
          drainMs = performance.now() - startTime;
        }),
      );
      while (drainMs === 0 && delays.length < 120) {
        delays.push(awaitedLater(startDelay(bed, url)));
        await Promise.race([drained, pause(everyMs)]);
      }
      await drained;
      const starts = await Promise.all(delays);
      await until("the end of the other's", async () => (await bed.count("execution_claim")) === 0);
      const states = await checkLedger(bed.query, ids);
      assert.deepEqual(new Set(states.values()), new Set(["COMPLETED"]));
      const accepts = starts.map(({ acceptMs }) => acceptMs);
      const waits = starts.map(({ startMs }) => startMs);
      assertWithin(run, percentile(waits, 0.99), startMsMax, "an execution of the other to start");
      return {
        ...{ executions: states.size, others: starts.length, lost: 0, doubleResults: 0, drainMs },
        ...{ quietStartMs: quiet.startMs, acceptP99Ms: percentile(accepts, 0.99) },
        ...{ startP50Ms: percentile(waits, 0.5), startP99Ms: percentile(waits, 0.99) },
      };
    } finally {
      await bed.stop();
    }
  },
};

type Start = { readonly acceptMs: number; readonly startMs: number };

/** How long it takes from the call of the other account until its execution does something. */
async function startDelay(bed: TestBed, url: string): Promise<Start> {
  const startTime = performance.now();
  const { status, id, ms } = await execute(url, {
    workflow: "call-http",
    payload: { url: bed.sink.url, data: {} },
    ...other,
  });
  assert.equal(status, 200);
  await until("the start of the other's execution", () => bed.sink.calls.has(`${id}:2:0`), patience);
  return { acceptMs: ms, startMs: performance.now() - startTime };
}

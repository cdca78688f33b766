import assert from "node:assert/strict";
import { awaitedLater, execute, percentile } from "../calls.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

export const syncCrowd: FaultCase = {
  id: "C3",
  title: "1,000 synchronous calls of 5 s each, half of whose callers go away",
  run: async ({ size, postgres }) => {
    const [count, callMs] = size === "full" ? [1_000, 5_000] : [60, 1_000];
    const bed = await TestBed.start({ database: await postgres.createExampleDatabase(), processes: 1 });
    try {
      const { url } = bed.server(0);
      const quietMs = await acceptTimes(url, 50);
      bed.sink.answerMs = callMs;
      const payload = { url: bed.sink.url, data: {} };
      const call = { workflow: "call-http", payload, isSync: true };
      const leaving = new AbortController();
      const staying = Array.from({ length: count / 2 }, () => awaitedLater(execute(url, call)));
      const left = Array.from({ length: count / 2 }, () =>
        execute(url, { ...call, signal: leaving.signal }).then(
          () => false,
          () => true,
        ),
      );
      // Where there are more calls than slots, the others wait for one.
      await until("calls in flight", async () => (await bed.count("execution")) >= count + quietMs.length);
      leaving.abort();
      const gone = (await Promise.all(left)).filter(Boolean).length;
      assert.ok(gone > 0, "no caller went away");
      const besideMs = await acceptTimes(url, 50);
      const replies = await Promise.all(staying);
      assert.deepEqual(
        replies.filter(({ status, json }) => status !== 200 || json["return_value"] === undefined),
        [],
        "who stays is answered the value",
      );
      const drainMs = await until("the end of all", async () => (await bed.count("execution_claim")) === 0);
      const states = await checkLedger(
        bed.query,
        replies.map(({ id }) => id),
      );
      assert.equal(states.size, count + quietMs.length + besideMs.length, "each call has an execution");
      assert.deepEqual(new Set(states.values()), new Set(["COMPLETED"]), "that a caller goes away ends nothing");
      assert.ok([...bed.sink.calls.values()].every(({ times }) => times.length === 1));
      const slowestReplyMs = Math.max(...replies.map(({ ms }) => ms));
      return {
        ...{ executions: states.size, gone, lost: 0, doubleResults: 0, slowestReplyMs, drainMs },
        ...{ quietAcceptP99Ms: percentile(quietMs, 0.99), acceptP99Ms: percentile(besideMs, 0.99) },
      };
    } finally {
      await bed.stop();
    }
  },
};

/** How long it takes to accept asynchronous calls, one after the other. */
async function acceptTimes(url: string, count: number): Promise<readonly number[]> {
  const times: number[] = [];
  while (times.length < count) {
    const { status, ms } = await execute(url, { workflow: "create-task" });
    assert.equal(status, 200);
    times.push(ms);
  }
  return times;
}

import assert from "node:assert/strict";
import { execute, type Reply } from "../calls.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

/** How many callers have one key. */
const callers = 50;

/** Keys at a time: each opens as many connections as it has callers. */
const keysAtOnce = 4;

export const callsOfOneKey: FaultCase = {
  id: "A8",
  title: `one Idempotency-Key, ${callers} calls at once over two processes`,
  run: async ({ size, postgres, say }) => {
    const keys = Array.from({ length: size === "full" ? 1_000 : 10 }, (_, index) => `key-${index}`);
    const bed = await TestBed.start({ database: await postgres.createExampleDatabase(), processes: 2 });
    try {
      const ids = new Map<string, string>();
      const left = [...keys];
      const callKeys = async () => {
        for (let key = left.pop(); key !== undefined; key = left.pop()) {
          ids.set(key, await callAtOnce(bed.urls, key));
          if (ids.size % 200 === 0) {
            say(`${ids.size} keys`);
          }
        }
      };
      await Promise.all(Array.from({ length: keysAtOnce }, callKeys));
      for (const key of keys) {
        const [{ status } = { status: 0 }] = await Promise.all(
          bed.urls.map((url) => call(url, key, "another payload")),
        );
        assert.equal(status, 409, `I6: another payload under ${key}`);
      }
      const drainMs = await until("the end of all", async () => (await bed.count("execution_claim")) === 0);
      const states = await checkLedger(bed.query, ids.values());
      assert.equal(states.size, keys.length, "I6: one execution for each key");
      return { executions: states.size, calls: keys.length * callers, lost: 0, doubleResults: 0, drainMs };
    } finally {
      await bed.stop();
    }
  },
};

/** Calls from all callers at once, the half of them at each process; answers the one id that all were told. */
async function callAtOnce(urls: readonly string[], key: string): Promise<string> {
  const replies = await Promise.all(
    Array.from({ length: callers }, (_, index) => call(urls[index % urls.length] ?? "", key, "one payload")),
  );
  assert.deepEqual(
    replies.filter(({ status }) => status !== 200),
    [],
  );
  const ids = new Set(replies.map(({ id }) => id));
  assert.equal(ids.size, 1, `I6: ${key} stands for ${[...ids].join(" and ")}`);
  // One call was the first.
  assert.equal(replies.filter(({ isReplayed }) => !isReplayed).length, 1);
  return String([...ids][0]);
}

function call(url: string, key: string, name: string): Promise<Reply> {
  const payload = { "Task Name": name, Assigned_to: "John Doe" };
  return execute(url, { workflow: "create-task", payload, idempotencyKey: key });
}

import assert from "node:assert/strict";
import { assertWithin } from "../bound.ts";
import { execute } from "../calls.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

/** Longer than anything that a case waits for: who is called does not answer a process that is about to be killed. */
const neverMs = 600_000;

export const crashThenAttempt: FaultCase = {
  id: "B4",
  title: "a process is killed in the middle of its calls: another takes them up, or its own restart",
  run: async (run) => {
    const count = run.size === "full" ? 100 : 10;
    const bed = await TestBed.start({ database: await run.postgres.createExampleDatabase(), processes: 2 });
    try {
      const ids = await callInFlight(bed, 0, count);
      await bed.kill(0);
      const byOtherMs = await untilCalledAgain(bed, ids);
      await untilDrained(bed);

      const others = await callInFlight(bed, 1, count);
      await bed.kill(1);
      await bed.startServer(1);
      const byRestartMs = await untilCalledAgain(bed, others);
      await untilDrained(bed);

      const states = await checkLedger(bed.query, [...ids, ...others]);
      assert.deepEqual(new Set(states.values()), new Set(["COMPLETED"]));
      const callsPerKeyMax = Math.max(...[...bed.sink.calls.values()].map(({ times }) => times.length));
      assert.equal(callsPerKeyMax, 2, "what one kill makes happen again happens twice");
      assertWithin(run, byOtherMs, 5_000, "another process");
      assertWithin(run, byRestartMs, 1_000, "the restart, from when it is ready,");
      return { executions: states.size, kills: 2, lost: 0, doubleResults: 0, callsPerKeyMax, byOtherMs, byRestartMs };
    } finally {
      await bed.stop();
    }
  },
};

/** Whose lease lives: nobody may take up what it owns. */
const healthyOwner = "f".repeat(24);

export const crowdedSweep: FaultCase = {
  id: "B11",
  title: "20,000 executions of a healthy owner stand before 10 whose process was killed",
  run: async (run) => {
    const bed = await TestBed.start({ database: await run.postgres.createExampleDatabase(), processes: 2 });
    try {
      const ids = await callInFlight(bed, 0, 10);
      await bed.query(`
        insert into lease
          select (jsonb_populate_record(one, jsonb_build_object(
              'owner', '${healthyOwner}', 'expire_time', now() + interval '1 hour'))).*
            from (select lease from lease where owner not in (select owner from execution_claim)) as other (one)`);
      await bed.query(`
        insert into execution_claim
          select (jsonb_populate_record(one, jsonb_build_object(
              'execution_id', left((one).execution_id, 8) || lpad(to_hex(n), 16, '0'),
              'owner', '${healthyOwner}', 'due_time', now() - interval '1 hour'))).*
            from (select execution_claim from execution_claim limit 1) as any_claim (one), generate_series(1, 20000) n`);
      await bed.kill(0);
      const recoveryMs = await untilCalledAgain(bed, ids);
      const own = `execution_claim where owner is distinct from '${healthyOwner}'`;
      const drainMs = await until("the end of the ten", async () => (await bed.count(own)) === 0);
      const healthy = await bed.count(`execution_claim where owner = '${healthyOwner}' and epoch = 1`);
      assert.equal(healthy, 20_000, "nobody took what has a healthy owner");
      const states = await checkLedger(bed.query, ids);
      assert.deepEqual(new Set(states.values()), new Set(["COMPLETED"]));
      assertWithin(run, recoveryMs, 6_000, "the recovery");
      return { executions: states.size, healthy, kills: 1, lost: 0, doubleResults: 0, recoveryMs, drainMs };
    } finally {
      await bed.stop();
    }
  },
};

/** Accepts executions at a process, and lets each be in the middle of its call; answers their ids. */
async function callInFlight(bed: TestBed, index: number, count: number): Promise<readonly string[]> {
  const before = bed.sink.total;
  bed.sink.answerMs = neverMs;
  const { url } = bed.server(index);
  const call = { workflow: "call-http", payload: { url: bed.sink.url, data: {} } };
  const replies = await Promise.all(Array.from({ length: count }, () => execute(url, call)));
  await until("calls in flight", () => bed.sink.total === before + count);
  bed.sink.answerMs = 10;
  return replies.map(({ id }) => id);
}

/** How many milliseconds it takes until the last of the calls has been made again, under the key that it had. */
async function untilCalledAgain(bed: TestBed, ids: readonly string[]): Promise<number> {
  return await until("the calls to be made again", () =>
    ids.every((id) => (bed.sink.calls.get(`${id}:2:0`)?.times.length ?? 0) > 1),
  );
}

async function untilDrained(bed: TestBed): Promise<number> {
  return await until("the end of all", async () => (await bed.count("execution_claim")) === 0);
}

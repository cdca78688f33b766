import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { assertWithin } from "../bound.ts";
import { awaitedLater, execute, percentile } from "../calls.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

/** What a process opens at the most: its pool, its lease's connection, and one to listen on. */
const connectionsMax = 12;

const callers = 32;

/**
 * How long accepting a call may take while the herd is run. Five times as long as after it is what should do; but the
 * herd begins in all slots at once, and a call waits with them for the processor. The figures say how many times as long
 * it takes.
 */
const acceptMsMax = 500;

/** Slots that a single execution keeps busy: nothing else gets one. */
const noSlots = { FLOWCALL_SLOTS: "1", FLOWCALL_QUEUE_MAX: "20000" };

/** One execution that waits for its answer for longer than the case takes. */
const patient = { FLOWCALL_HTTP_TIMEOUT_MS: "600000" };

export const herd: FaultCase = {
  id: "B7",
  title: "10,000 executions are due at once when a process comes back",
  run: async (run) => {
    const { size, postgres, say } = run;
    const count = size === "full" ? 10_000 : 300;
    const bed = await TestBed.start({
      database: await postgres.createExampleDatabase(),
      processes: 1,
      environment: { ...noSlots, ...patient },
    });
    try {
      const ids = await acceptAll(bed, count);
      await bed.kill(0);
      bed.sink.answerMs = 10;
      const [last] = (await bed.query("select max(create_time)::text as time from execution")).rows;
      const herdTime = String(last?.["time"]);
      say(`${ids.length} are due`);

      const { url } = await bed.startServer(0, { FLOWCALL_SLOTS: "256" });
      const connections: number[] = [];
      const herdMs: number[] = [];
      const isOver = { value: false };
      const watching = awaitedLater(
        Promise.all([callWhile(url, isOver, herdMs), countConnections(bed, isOver, connections)]),
      );
      const left = `execution where state is null and create_time <= '${herdTime}'`;
      const drainMs = await until("the end of the herd", async () => (await bed.count(left)) === 0, { everyMs: 100 });
      isOver.value = true;
      await watching;
      const quietMs: number[] = [];
      while (quietMs.length < 50) {
        quietMs.push(await callOnce(url));
      }

      await until("the end of all", async () => (await bed.count("execution_claim")) === 0);
      const states = await checkLedger(bed.query, ids);
      assert.deepEqual(new Set(states.values()), new Set(["COMPLETED"]));
      const connectionsSeen = Math.max(...connections);
      assert.ok(connectionsSeen <= connectionsMax, `${connectionsSeen} connections to Postgres`);
      assert.ok(herdMs.length > 0, "no call was made while it drained");
      const [herdP99Ms, quietP99Ms] = [percentile(herdMs, 0.99), percentile(quietMs, 0.99)];
      assertWithin(run, herdP99Ms, acceptMsMax, "accepting a call");
      const perSecond = Math.round((1_000 * ids.length) / drainMs);
      return {
        ...{ executions: states.size, kills: 1, lost: 0, doubleResults: 0, drainMs, perSecond },
        ...{ connectionsSeen, herdCalls: herdMs.length, herdP50Ms: percentile(herdMs, 0.5), herdP99Ms, quietP99Ms },
        slowdown: herdP99Ms / quietP99Ms,
      };
    } finally {
      await bed.stop();
    }
  },
};

/** Accepts executions at a process whose only slot is taken, so that all of them wait. */
async function acceptAll(bed: TestBed, count: number): Promise<readonly string[]> {
  const { url } = bed.server(0);
  bed.sink.answerMs = 600_000;
  const payload = { url: bed.sink.url, data: {} };
  const ids = [(await execute(url, { workflow: "call-http", payload })).id];
  await until("the slot to be taken", () => bed.sink.total === 1);
  const accept = async () => {
    while (ids.length < count) {
      const index = ids.push("") - 1;
      const { status, id } = await execute(url, { workflow: "create-task" });
      assert.equal(status, 200);
      ids[index] = id;
    }
  };
  await Promise.all(Array.from({ length: callers }, accept));
  return ids;
}

/** How long it takes until a call is accepted. */
async function callOnce(url: string): Promise<number> {
  const { status, ms } = await execute(url, { workflow: "create-task" });
  assert.equal(status, 200);
  return ms;
}

async function callWhile(url: string, isOver: { readonly value: boolean }, times: number[]): Promise<void> {
  while (!isOver.value) {
    times.push(await callOnce(url));
    await pause(20);
  }
}

async function countConnections(bed: TestBed, isOver: { readonly value: boolean }, counts: number[]): Promise<void> {
  while (!isOver.value) {
    counts.push(
      await bed.count("pg_stat_activity where datname = current_database() and application_name = 'flowcall'"),
    );
  }
}

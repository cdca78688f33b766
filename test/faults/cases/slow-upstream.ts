import assert from "node:assert/strict";
import { AppBed } from "../app-bed.ts";
import { execute, percentile } from "../calls.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { until } from "../until.ts";
import { neverAnswer } from "../upstream.ts";

const slots = 256;

/** How long a call of the API that never answers keeps its slot. */
const httpMs = 15_000;

/** How much slower calls of others may be while slots are free; the least that counts is what a busy machine does. */
const slowerMax = 2;
const slowMsMin = 500;

export const slowUpstream: FaultCase = {
  id: "B9",
  title: "1,000 executions call an API that never answers",
  run: async ({ size, postgres, say }) => {
    const hanging = size === "full" ? 1_000 : 60;
    const environment = { FLOWCALL_SLOTS: String(slots), FLOWCALL_HTTP_TIMEOUT_MS: String(httpMs) };
    const database = await postgres.createExampleDatabase();
    return await AppBed.with({ database, environment, answer: neverAnswer }, async (bed, url) => {
      const quiet = await callOthers(url, 50);
      // As many as leave slots free.
      const few = await hang(bed, url, 60);
      const beside = await callOthers(url, 50);
      assert.ok(bed.upstream.waiting > 0, "nothing hung meanwhile");
      const [quietP99Ms, besideP99Ms] = [percentile(quiet, 0.99), percentile(beside, 0.99)];
      assert.ok(besideP99Ms <= slowerMax * Math.max(quietP99Ms, slowMsMin), "calls of others became slow");
      if (hanging > few.length) {
        say("no slot is free from here on");
      }
      const many = await hang(bed, url, hanging - few.length);
      const behind = await callOthers(url, 5);

      const drainMs = await until("the end of all", () => bed.hasDrained());
      const states = await checkLedger(bed.query, [...few, ...many]);
      const errored = [...states.values()].filter((state) => state === "ERRORED").length;
      assert.equal(errored, hanging, "each ends when its time is up");
      // Where all slots hang, others wait for one: the bound is how long those before them take, round after round.
      const roundsMs = Math.ceil(hanging / slots) * httpMs;
      assert.ok(Math.max(...behind) <= roundsMs + drainMs, "a call of another waited for longer than for its turn");
      const figures = { quietP99Ms, besideP99Ms, behindMaxMs: Math.max(...behind), drainMs };
      return { executions: states.size, hanging, slots, lost: 0, doubleResults: 0, ...figures };
    });
  },
};

/** Accepts executions that wait for an answer in vain, and lets as many as can be in the middle of it. */
async function hang(bed: AppBed, url: string, count: number): Promise<readonly string[]> {
  const call = { workflow: "call-http", payload: { url: bed.upstream.url, data: {} } };
  const replies = await Promise.all(Array.from({ length: count }, () => execute(url, call)));
  assert.ok(replies.every(({ status }) => status === 200));
  await until("calls that hang", () => bed.upstream.requests.length >= Math.min(count, slots));
  return replies.map(({ id }) => id);
}

/** The times of calls of another account, one after the other. */
async function callOthers(url: string, count: number): Promise<readonly number[]> {
  const times: number[] = [];
  while (times.length < count) {
    const { status, ms } = await execute(url, { workflow: "create-task", isSync: true, account: "jane@acme.io" });
    assert.equal(status, 200);
    times.push(ms);
  }
  return times;
}

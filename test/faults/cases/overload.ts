import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { assertWithin } from "../bound.ts";
import { awaitedLater, execute, percentile, type Reply } from "../calls.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

/** Slots and the time of a call make the capacity, so that the machine does not: 40 executions a second. */
const slots = 4;
const callMs = 100;
const capacity = (slots * 1_000) / callMs;
const queueMax = 100;

/** How often the memory is looked at: each look is a process. */
const lookMs = 1_000;

const mebibyte = 1024 ** 2;

export const overload: FaultCase = {
  id: "C1",
  title: "five times as many calls as can be run, for 10 s",
  run: async (run) => {
    const seconds = run.size === "full" ? 10 : 2;
    const environment = { FLOWCALL_SLOTS: String(slots), FLOWCALL_QUEUE_MAX: String(queueMax) };
    const bed = await TestBed.start({
      database: await run.postgres.createExampleDatabase(),
      processes: 1,
      environment,
    });
    try {
      bed.sink.answerMs = callMs;
      const { pid } = bed.server(0);
      await callAtRate(bed, { perSecond: capacity / 2, seconds: 1 });
      await until("a quiet start", async () => (await bed.count("execution_claim")) === 0);
      const before = await rssBytes(pid);

      const doneBefore = await endedCount(bed);
      const startTime = performance.now();
      const { replies, rssMax } = await callAtRate(bed, { perSecond: 5 * capacity, seconds });
      const done = (await endedCount(bed)) - doneBefore;
      const perSecond = (1_000 * done) / (performance.now() - startTime);
      const recoveryMs = await until("the end of the queue", async () => (await bed.count("execution_claim")) === 0);

      const shed = replies.filter(({ status }) => status === 503);
      const accepted = replies.filter(({ status }) => status === 200);
      assert.equal(shed.length + accepted.length, replies.length, "each call is accepted or refused for the load");
      assert.ok(shed.length > 0, "no call was too many");
      assert.ok(shed.every(({ retryAfter, json }) => retryAfter !== null && json["error_code"] === "SERVER_BUSY"));
      const states = await checkLedger(
        bed.query,
        accepted.map(({ id }) => id),
      );
      assert.deepEqual(new Set(states.values()), new Set(["COMPLETED"]));
      const shedMs = shed.map(({ ms }) => ms);
      const shedP99Ms = percentile(shedMs, 0.99);
      const rssGrowthMiB = (rssMax - before) / mebibyte;
      const goodput = perSecond / capacity;
      // A sample shares the machine with other tests, whose turns are what its slowest refusals measure.
      assertWithin(run, run.size === "full" ? shedP99Ms : percentile(shedMs, 0.5), 200, "a refusal");
      assert.ok(run.size === "sample" || goodput >= 0.75, `only ${perSecond} of ${capacity} executions a second ended`);
      assert.ok(rssGrowthMiB <= 200, `the process took ${rssGrowthMiB} MiB more`);
      assertWithin(run, recoveryMs, 10_000, "the recovery");
      return {
        ...{ executions: states.size, calls: replies.length, shed: shed.length, lost: 0, doubleResults: 0 },
        ...{ shedP50Ms: percentile(shedMs, 0.5), shedP99Ms, capacity, perSecond, rssGrowthMiB, recoveryMs },
      };
    } finally {
      await bed.stop();
    }
  },
};

async function endedCount(bed: TestBed): Promise<number> {
  return await bed.count("ledger");
}

type Rate = { readonly perSecond: number; readonly seconds: number };

/** Sends calls by the clock and not by the replies, as many callers would; answers when all have their reply. */
async function callAtRate(bed: TestBed, { perSecond, seconds }: Rate) {
  const { url, pid } = bed.server(0);
  const calls: Promise<Reply>[] = [];
  const call = { workflow: "call-http", payload: { url: bed.sink.url, data: {} } };
  const startTime = performance.now();
  let rssMax = 0;
  let looks = 0;
  for (let elapsed = 0; elapsed < 1_000 * seconds; elapsed = performance.now() - startTime) {
    while (calls.length < (perSecond * elapsed) / 1_000) {
      calls.push(awaitedLater(execute(url, call)));
    }
    if (elapsed > looks * lookMs) {
      looks += 1;
      rssMax = Math.max(rssMax, await rssBytes(pid));
    }
    await pause(10);
  }
  return { replies: await Promise.all(calls), rssMax };
}

const run = promisify(execFile);

/** The memory that a process has of the machine. */
async function rssBytes(pid: number): Promise<number> {
  const { stdout } = await run("ps", ["-o", "rss=", "-p", String(pid)]);
  return 1024 * Number(stdout);
}

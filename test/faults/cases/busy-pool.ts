import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { AppBed } from "../app-bed.ts";
import { assertWithin } from "../bound.ts";
import { awaitedLater, execute, isReady, listWorkflows } from "../calls.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { until } from "../until.ts";
import { answerOk, neverAnswer } from "../upstream.ts";

/** In flight while the pool is busy. */
const running = 20;

export const busyPool: FaultCase = {
  id: "B8",
  title: "500 calls whose statements wait for a lock for 60 s take every connection",
  run: async (run) => {
    const [calls, lockMs] = run.size === "full" ? [500, 60_000] : [50, 6_000];
    return await AppBed.with(
      { database: await run.postgres.createExampleDatabase(), answer: neverAnswer },
      async (bed, url) => {
        // It would take up what the first one lets go of.
        await bed.startApp();
        const payload = { url: bed.upstream.url, data: {} };
        const ids = await Promise.all(
          Array.from({ length: running }, async () => (await execute(url, { workflow: "call-http", payload })).id),
        );
        await until("calls in flight", () => bed.upstream.requests.length === running);

        const lock = new pg.Client(bed.database.connection);
        await lock.connect();
        await lock.query("begin; lock table workflow in access exclusive mode");
        const isOver = { value: false };
        const watching = awaitedLater(watchLeases(bed, url, isOver));
        const replies = awaitedLater(Promise.all(Array.from({ length: calls }, () => listWorkflows(url))));
        await pause(lockMs);
        // While no statement gets through, what runs goes on.
        bed.upstream.letGo(answerOk);
        await lock.query("commit");
        await lock.end();
        const all = await replies;
        isOver.value = true;
        const { leaseMsMin, looks } = await watching;
        await until("the end of all", () => bed.hasDrained());

        const refused = all.filter(({ status }) => status === 503);
        assert.deepEqual(
          all.filter(({ status }) => status !== 200 && status !== 503),
          [],
        );
        assert.ok(refused.length > 0, "the pool was never short of connections");
        assert.ok(refused.every(({ retryAfter }) => retryAfter !== null));
        const slowestReplyMs = Math.max(...all.map(({ ms }) => ms));
        assertWithin(run, slowestReplyMs, 30_000, "a reply");
        assert.ok(leaseMsMin > 0, "a lease ran out");
        const states = await checkLedger(bed.query, ids);
        assert.equal(await bed.count("ledger where epoch > 1"), 0, "an execution was taken from its owner");
        const figures = { calls, refused: refused.length, leaseMsMin, looks, slowestReplyMs };
        return { executions: states.size, lost: 0, doubleResults: 0, fenced: 0, ...figures };
      },
    );
  },
};

/** Looks at the leases of both services again and again: how near the first of them came to its end. */
async function watchLeases(bed: AppBed, url: string, isOver: { readonly value: boolean }) {
  let leaseMsMin = Number.POSITIVE_INFINITY;
  let looks = 0;
  while (!isOver.value) {
    const { rows } = await bed.query("select extract(epoch from min(expire_time) - now()) * 1000 as left from lease");
    leaseMsMin = Math.min(leaseMsMin, Number(rows[0]?.["left"]));
    assert.ok(await isReady(url), "a process that has its lease is ready");
    looks += 1;
    await pause(50);
  }
  return { leaseMsMin, looks };
}

import assert from "node:assert/strict";
import { AppBed } from "../app-bed.ts";
import { assertWithin } from "../bound.ts";
import { execute, percentile } from "../calls.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { until } from "../until.ts";
import { neverAnswer } from "../upstream.ts";

/** Within which all is looked at again, whatever message was lost: what waits for a slot, and then who waits for an end. */
const pollMs = 500 + 1_000;

export const lostListeners: FaultCase = {
  id: "B3",
  title: "the connections that listen are killed, 20 times",
  run: async (run) => {
    const rounds = run.size === "full" ? 20 : 5;
    const environment = { FLOWCALL_SLOTS: "1", FLOWCALL_HTTP_TIMEOUT_MS: "600000" };
    const database = await run.postgres.createExampleDatabase();
    return await AppBed.with({ database, environment, answer: neverAnswer }, async (bed, url) => {
      // The only slot of the first service is taken: what it accepts is run by the other, whose word it waits for.
      await execute(url, { workflow: "call-http", payload: { url: bed.upstream.url, data: {} } });
      await until("the slot to be taken", () => bed.upstream.requests.length === 1);
      await bed.startApp({ environment: { FLOWCALL_SLOTS: "256" } });
      const ids: string[] = [];
      const callOnce = async () => {
        const { status, id, ms } = await execute(url, { workflow: "create-task", wait: 30 });
        assert.equal(status, 200);
        ids.push(id);
        return ms;
      };
      const quiet: number[] = [];
      while (quiet.length < rounds) {
        quiet.push(await callOnce());
      }
      const times: number[] = [];
      let kills = 0;
      for (let round = 0; round < rounds; round += 1) {
        kills += await killListeners(bed);
        times.push(await callOnce(), await callOnce());
      }
      bed.upstream.letGo();
      const drainMs = await until("the end of all", () => bed.hasDrained());
      const states = await checkLedger(bed.query, ids);
      assert.deepEqual(new Set(states.values()), new Set(["COMPLETED"]));
      const [worstMs, pickUpP50Ms] = [Math.max(...times), percentile(times, 0.5)];
      assertWithin(run, worstMs, pollMs + 500, "from a call to its end elsewhere it");
      const figures = { kills, quietP50Ms: percentile(quiet, 0.5), pickUpP50Ms, worstMs, drainMs };
      return { executions: states.size, lost: 0, doubleResults: 0, ...figures };
    });
  },
};

/** Kills each connection that listens, whatever its last statement was; there has to be one, or nothing was lost. */
async function killListeners(bed: AppBed): Promise<number> {
  let killed = 0;
  await until("somebody who listens", async () => {
    const { rows } = await bed.query(`
      select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and (query ilike 'listen%' or application_name = 'flowcall-notifier')`);
    killed = rows.length;
    return killed > 0;
  });
  return killed;
}

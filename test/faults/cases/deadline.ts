import assert from "node:assert/strict";
import { openStores } from "../../../src/storage/stores.ts";
import { AppBed } from "../app-bed.ts";
import { assertWithin } from "../bound.ts";
import { askResponse, execute, isReady } from "../calls.ts";
import { withFailpoint } from "../failpoint.ts";
import type { FaultCase, FaultFigures, FaultRun } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

const runMs = 2_000;
const environment = { FLOWCALL_RUN_MS: String(runMs) };

export const deadline: FaultCase = {
  id: "B13",
  title: "an execution's time is up while it ignores its abort, and while its process is frozen",
  run: async (run) => {
    const stuck = await endStuck(run);
    return { ...stuck, ...(await endFrozen(run)) };
  },
};

/** What never answers, whatever is aborted, is the last write of the owner. */
async function endStuck(run: FaultRun): Promise<FaultFigures> {
  return await AppBed.with({ database: await run.postgres.createExampleDatabase(), environment }, async (bed) => {
    const answer = Promise.withResolvers<never>();
    answer.promise.catch(() => undefined);
    const stuck = await bed.startApp({
      open: (database) => {
        const finish = { store: "executions", method: "finish", moment: "before" } as const;
        const { stores, arm } = withFailpoint(openStores(database), finish, () => answer.promise);
        arm();
        return stores;
      },
    });
    try {
      const { id } = await execute(stuck.url, { workflow: "create-task" });
      const stuckMs = await until("its end", () => hasTimedOut(stuck.url, id));
      assertWithin(run, stuckMs, runMs + 5_000, "the end of what ignores its abort");
      const { status } = await execute(stuck.url, { workflow: "create-task", isSync: true });
      assert.equal(status, 200, "the process goes on");
      await checkLedger(bed.query, [id]);
      return { stuckMs: stuckMs - runMs };
    } finally {
      answer.reject(Object.assign(new Error("the connection was lost"), { code: "ECONNRESET" }));
    }
  });
}

async function endFrozen(run: FaultRun): Promise<FaultFigures> {
  const count = run.size === "full" ? 100 : 10;
  const bed = await TestBed.start({ database: await run.postgres.createExampleDatabase(), processes: 2, environment });
  try {
    const [owner, other] = [bed.server(0), bed.server(1)];
    bed.sink.answerMs = 600_000;
    const call = { workflow: "call-http", payload: { url: bed.sink.url, data: {} } };
    const replies = await Promise.all(Array.from({ length: count }, () => execute(owner.url, call)));
    const acceptedTime = performance.now();
    process.kill(owner.pid, "SIGSTOP");
    try {
      for (const { id } of replies) {
        await until("their ends", () => hasTimedOut(other.url, id));
      }
      const frozenMs = performance.now() - acceptedTime;
      assertWithin(run, frozenMs, runMs + 5_000, "the end of what a frozen process had");
      process.kill(owner.pid, "SIGCONT");
      await until("that it lives again", () => isReady(owner.url));
      const reply = await execute(owner.url, { workflow: "create-task", isSync: true });
      assert.equal(reply.status, 200);
      await until("the end of all", async () => (await bed.count("execution_claim")) === 0);
      const states = await checkLedger(
        bed.query,
        replies.map(({ id }) => id),
      );
      return { executions: states.size, frozenMs: frozenMs - runMs, lost: 0, doubleResults: 0 };
    } finally {
      process.kill(owner.pid, "SIGCONT");
    }
  } finally {
    await bed.stop();
  }
}

async function hasTimedOut(url: string, id: string): Promise<boolean> {
  const { json } = await askResponse(url, id);
  if (json["status"] === "RUNNING") {
    return false;
  }
  assert.deepEqual([json["status"], Object(json["error"]).reason], ["ERRORED", "EXECUTION_TIMED_OUT"]);
  return true;
}

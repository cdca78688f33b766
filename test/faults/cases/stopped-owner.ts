import assert from "node:assert/strict";
import { endure, type Stage, slots } from "../endure.ts";
import type { FaultCase } from "../fault-case.ts";
import { until } from "../until.ts";

/** A process stands still for longer than others believe in it, and then goes on as if nothing had happened. */
export const stoppedOwner: FaultCase = {
  id: "A4",
  title: "SIGSTOP of an owner until others have taken over, then SIGCONT",
  run: async (run) => {
    const [calls, stops] = run.size === "full" ? [6_000, 6] : [120, 1];
    const plan = Array.from({ length: stops }, () => ({
      victim: Math.floor(run.random() * 2),
      isOver: run.random() < 0.5,
    }));
    const figures = await endure(run, {
      database: await run.postgres.createDatabase(),
      processes: 2,
      calls,
      answerMs: 200,
      composition: {},
      planned: stops,
      lossesPerFault: 1,
      lateCallsPerFault: slots,
      faults: async (stage) => {
        for (const [turn, stop] of plan.entries()) {
          await stage.turn(turn);
          await stopOwner(stage, stop);
        }
      },
    });
    assert.ok(Number(figures["fenced"]) > 0, "no late write was kept out: nothing was tried");
    return figures;
  },
};

/** Where what it had `isOver` when it goes on, all of that has ended elsewhere; else it has been taken over at least. */
export async function stopOwner(
  { bed, owners, happened, recovered }: Stage,
  { victim, isOver }: { readonly victim: number; readonly isOver: boolean },
): Promise<void> {
  const { pid, url } = bed.server(victim);
  const owned = async () => {
    const { rows } = await bed.query(`select execution_id from execution_claim where owner = '${owners.get(victim)}'`);
    return rows.map(({ execution_id }) => `'${execution_id}'`);
  };
  await until("the process to have executions", async () => (await owned()).length > 2);
  process.kill(pid, "SIGSTOP");
  try {
    await happened();
    const left = await owned();
    await until("others to take over", async () => (await owned()).length === 0);
    await recovered();
    const unfinished = `execution where state is null and id in (${["''", ...left].join()})`;
    if (isOver) await until("the end elsewhere", async () => (await bed.count(unfinished)) === 0);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await until("the process to be ready again", async () => (await fetch(`${url}/readyz`)).ok);
}

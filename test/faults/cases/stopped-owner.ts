import assert from "node:assert/strict";
import { on } from "node:events";
import type { Composition, Said } from "../composed-server.ts";
import { endure, type Stage, slots } from "../endure.ts";
import type { FaultCase } from "../fault-case.ts";
import type { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

/** Stops, once it is armed, where it is about to write an end: that comes too late, and whatever else it runs. */
export const stoppedAtEnd: Composition = {
  failpoint: { store: "executions", method: "finish", moment: "before" },
  isStopped: true,
};

/** A process stands still for longer than others believe in it, and then goes on as if nothing had happened. */
export const stoppedOwner: FaultCase = {
  id: "A4",
  title: "SIGSTOP of an owner until others have taken over, then SIGCONT",
  run: async (run) => {
    const [calls, stops] = run.size === "full" ? [6_000, 6] : [200, 1];
    const plan = Array.from({ length: stops }, () => ({
      victim: Math.floor(run.random() * 2),
      isOver: run.random() < 0.5,
    }));
    return await endure(run, {
      database: await run.postgres.createExampleDatabase(),
      processes: 2,
      calls,
      answerMs: 200,
      composition: stoppedAtEnd,
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
  },
};

/** Where what it had `isOver` when it goes on, all of that has ended elsewhere; else it has been taken over at least. */
export async function stopOwner(
  { bed, owners, fenced, happened, recovered }: Stage,
  { victim, isOver }: { readonly victim: number; readonly isOver: boolean },
): Promise<void> {
  const { pid, url } = bed.server(victim);
  const owned = async () => {
    const { rows } = await bed.query(`select execution_id from execution_claim where owner = '${owners.get(victim)}'`);
    return rows.map(({ execution_id }) => `'${execution_id}'`);
  };
  let before = Number.POSITIVE_INFINITY;
  await stopAtEnd(bed, victim);
  try {
    await happened();
    const left = await owned();
    await until("others to take over", async () => (await owned()).length === 0);
    await recovered();
    const unfinished = `execution where state is null and id in (${["''", ...left].join()})`;
    if (isOver) {
      await until("the end elsewhere", async () => (await bed.count(unfinished)) === 0);
    }
    // What a stop before this one left came late meanwhile.
    before = fenced();
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await until("its late write to be kept out", () => fenced() > before);
  await until("the process to be ready again", async () => (await fetch(`${url}/readyz`)).ok);
}

/** Arms a process, and settles when it does what it is composed to. */
export async function stopAtEnd(bed: TestBed, victim: number): Promise<void> {
  const { child } = bed.server(victim);
  const messages = on(child, "message", { close: ["exit"] });
  child.send("arm");
  for await (const [message] of messages) {
    // What a composed server says.
    if ((message as Said).kind === "stops") {
      return;
    }
  }
  assert.fail("the process has ended, and not stopped");
}

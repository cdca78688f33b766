import assert from "node:assert/strict";
import type { Composition } from "../composed-server.ts";
import { endure, type Stage, slots } from "../endure.ts";
import type { FaultCase, FaultRun } from "../fault-case.ts";
import { until } from "../until.ts";
import { breachOf } from "./mutants.ts";
import { stopAtEnd, stoppedAtEnd } from "./stopped-owner.ts";

/** Longer than a lease lasts, and a sweep after it. */
const blockedMs = 10_000;

/** Blocks, once it is armed, where it is about to write an end. */
const blockedAtEnd: Composition = { ...stoppedAtEnd, isStopped: false, blockedMs };

export const blockedLoop: FaultCase = {
  id: "F10",
  title: `the event loop of an owner does nothing else for ${blockedMs / 1_000} s`,
  run: async (run) => {
    if (run.size !== "full") {
      return await blockOwners(run, { composition: blockedAtEnd, calls: 200, blocks: 1 });
    }
    const [figures, breach] = await Promise.all([
      blockOwners(run, { composition: blockedAtEnd, calls: 4_000, blocks: 4 }),
      breachOf(blockOwners(run, { composition: { ...blockedAtEnd, mutant: "no-fence" }, calls: 90, blocks: 1 })),
    ]);
    const caughtBy = breach?.invariants ?? [];
    assert.ok(caughtBy.includes("I2"), `an owner that writes all the same is not caught: ${breach?.message}`);
    return { ...figures, mutant: `no-fence is caught by ${caughtBy.join("+")}` };
  },
};

type Blocks = { readonly composition: Composition; readonly calls: number; readonly blocks: number };

async function blockOwners(run: FaultRun, { composition, calls, blocks }: Blocks) {
  return await endure(run, {
    database: await run.postgres.createExampleDatabase(),
    processes: 2,
    calls,
    answerMs: 200,
    composition,
    planned: blocks,
    lossesPerFault: 1,
    lateCallsPerFault: slots,
    faults: async (stage) => {
      for (let turn = 0; turn < blocks; turn += 1) {
        await stage.turn(turn);
        await blockOwner(stage, turn % 2);
      }
    },
  });
}

/** Others take over what it has meanwhile; then it goes on, and what it writes comes too late. */
async function blockOwner({ bed, owners, fenced, happened, recovered }: Stage, victim: number): Promise<void> {
  const before = fenced();
  const owned = `execution_claim where owner = '${owners.get(victim)}'`;
  await stopAtEnd(bed, victim);
  await happened();
  await until("others to take over", async () => (await bed.count(owned)) === 0);
  await recovered();
  await until("its late write to be kept out", () => fenced() > before);
  await until("the process to be ready again", async () => (await fetch(`${bed.server(victim).url}/readyz`)).ok);
}

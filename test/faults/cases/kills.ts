import { endure, type Stage } from "../endure.ts";
import type { FaultCase, FaultRun } from "../fault-case.ts";

/** Calls go on while their processes are killed, one at a time, whatever they are doing. */
export const killsOfOneProcess: FaultCase = {
  id: "A1",
  title: "SIGKILL of the only process, again and again",
  run: (run) => endureKills(run, 1),
};

export const killsOfTwoProcesses: FaultCase = {
  id: "A3",
  title: "SIGKILL of either of two processes, again and again",
  run: (run) => endureKills(run, 2),
};

async function endureKills(run: FaultRun, processes: number) {
  const [calls, kills] = run.size === "full" ? [10_000, 20] : [120, 2];
  const victims = Array.from({ length: kills }, () => Math.floor(run.random() * processes));
  const figures = await endure(run, {
    database: await run.postgres.createExampleDatabase(),
    processes,
    calls,
    planned: kills,
    lossesPerFault: 1,
    faults: async (stage) => {
      for (const [turn, victim] of victims.entries()) {
        await stage.turn(turn);
        await killAndStart(stage, victim);
      }
    },
  });
  return { ...figures, kills };
}

export async function killAndStart({ bed, happened, recovered }: Stage, victim: number): Promise<void> {
  await bed.kill(victim);
  await happened();
  await Promise.all([bed.startServer(victim), recovered()]);
}

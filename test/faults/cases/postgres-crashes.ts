import { endure, type Stage } from "../endure.ts";
import type { FaultCase, FaultRun } from "../fault-case.ts";
import { type OwnPostgres, startOwnPostgres } from "../own-postgres.ts";

/** The database crashes under load and comes back; the processes live on, and so does all that they run. */
export const postgresCrashes: FaultCase = {
  id: "A6",
  title: "Postgres ends at once and recovers, again and again",
  run: (run) =>
    onOwnPostgres(run, {
      calls: [10_000, 240],
      crashes: [10, 2],
      processes: 1,
      lossesPerFault: 0,
      crash: async (postgres, { happened, recovered }) => {
        await postgres.crash();
        await happened();
        await recovered();
      },
    }),
};

/** What a loss of the machine is: nothing is told, nobody is left, and the log of the database is what there is. */
export const machineCrashes: FaultCase = {
  id: "A10",
  title: "SIGKILL of Postgres and of both processes at one moment",
  run: (run) =>
    onOwnPostgres(run, {
      calls: [5_000, 120],
      crashes: [5, 1],
      processes: 2,
      lossesPerFault: 2,
      crash: async (postgres, { bed, happened, recovered }) => {
        await Promise.all([postgres.kill(), bed.kill(0), bed.kill(1)]);
        await happened();
        await Promise.all([bed.startServer(0), bed.startServer(1), recovered()]);
      },
    }),
};

type Crashes = {
  /** In full, and of a sample. */
  readonly calls: readonly [number, number];
  readonly crashes: readonly [number, number];
  readonly processes: number;
  readonly lossesPerFault: number;
  readonly crash: (postgres: OwnPostgres, stage: Stage) => Promise<void>;
};

async function onOwnPostgres(run: FaultRun, { calls, crashes, processes, lossesPerFault, crash }: Crashes) {
  const size = run.size === "full" ? 0 : 1;
  const planned = crashes[size];
  const postgres = await startOwnPostgres();
  try {
    return await endure(run, {
      database: await postgres.createExampleDatabase(),
      processes,
      calls: calls[size],
      planned,
      lossesPerFault,
      faults: async (stage) => {
        for (let turn = 0; turn < planned; turn += 1) {
          await stage.turn(turn);
          await crash(postgres, stage);
        }
      },
    });
  } finally {
    await postgres.stop();
  }
}

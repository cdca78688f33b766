import { crashThenAttempt, crowdedSweep } from "./cases/crash.ts";
import { killsOfOneProcess, killsOfTwoProcesses } from "./cases/kills.ts";
import { databaseDown, databaseSilent } from "./cases/lost-database.ts";
import { caughtMutants } from "./cases/mutants.ts";
import { callsOfOneKey } from "./cases/one-key.ts";
import { machineCrashes, postgresCrashes } from "./cases/postgres-crashes.ts";
import { stoppedOwner } from "./cases/stopped-owner.ts";
import type { FaultCase } from "./fault-case.ts";

/** All that `npm run faults` runs, in its order. */
export const cases: readonly FaultCase[] = [
  killsOfOneProcess,
  killsOfTwoProcesses,
  stoppedOwner,
  caughtMutants,
  postgresCrashes,
  callsOfOneKey,
  machineCrashes,
  databaseDown,
  databaseSilent,
  crashThenAttempt,
  crowdedSweep,
];

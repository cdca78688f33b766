import { editedWorkflow, queuedResponse, stableErrors } from "./cases/answers.ts";
import {
  anonymousStreams,
  endlessQuery,
  endlessTexts,
  hangingAccounts,
  hugeJournal,
  manyRecords,
  unfinishedBodies,
  unreadReplies,
} from "./cases/attacks.ts";
import { blockedLoop } from "./cases/blocked-loop.ts";
import { busyPool } from "./cases/busy-pool.ts";
import { setDatabaseClock, shiftedProcesses } from "./cases/clocks.ts";
import { crashThenAttempt, crowdedSweep } from "./cases/crash.ts";
import { deadline } from "./cases/deadline.ts";
import { stopUnderLoad } from "./cases/drain.ts";
import { equalAnswers } from "./cases/equal-answers.ts";
import { failpoints } from "./cases/failpoints.ts";
import { flood } from "./cases/flood.ts";
import { herd } from "./cases/herd.ts";
import { killsOfOneProcess, killsOfTwoProcesses } from "./cases/kills.ts";
import { lostAnswers } from "./cases/lost-answers.ts";
import { databaseDown, databaseSilent } from "./cases/lost-database.ts";
import { lostListeners } from "./cases/lost-listeners.ts";
import { caughtMutants } from "./cases/mutants.ts";
import { callsOfOneKey } from "./cases/one-key.ts";
import { overload } from "./cases/overload.ts";
import { poison } from "./cases/poison.ts";
import { machineCrashes, postgresCrashes } from "./cases/postgres-crashes.ts";
import { racingResponses } from "./cases/racing-responses.ts";
import { rollingRestart } from "./cases/rolling-restart.ts";
import { killedScripts } from "./cases/scripts.ts";
import { slowUpstream } from "./cases/slow-upstream.ts";
import { stoppedOwner } from "./cases/stopped-owner.ts";
import { killedSubFlows } from "./cases/sub-flow.ts";
import { syncCrowd } from "./cases/sync-crowd.ts";
import { skippedOnce, spentWait, syncWithGroup } from "./cases/sync-semantics.ts";
import { caughtOnce } from "./cases/try-catch.ts";
import { toldEnds } from "./cases/webhook-outbox.ts";
import type { FaultCase } from "./fault-case.ts";

/** All that `npm run faults` runs, in its order. */
export const cases: readonly FaultCase[] = [
  killsOfOneProcess,
  failpoints,
  killsOfTwoProcesses,
  stoppedOwner,
  blockedLoop,
  shiftedProcesses,
  setDatabaseClock,
  caughtMutants,
  caughtOnce,
  killedSubFlows,
  toldEnds,
  postgresCrashes,
  lostAnswers,
  callsOfOneKey,
  machineCrashes,
  rollingRestart,
  databaseDown,
  databaseSilent,
  lostListeners,
  crashThenAttempt,
  crowdedSweep,
  killedScripts,
  racingResponses,
  stopUnderLoad,
  poison,
  herd,
  busyPool,
  slowUpstream,
  deadline,
  overload,
  flood,
  syncCrowd,
  syncWithGroup,
  spentWait,
  skippedOnce,
  queuedResponse,
  stableErrors,
  editedWorkflow,
  equalAnswers,
  anonymousStreams,
  hangingAccounts,
  hugeJournal,
  manyRecords,
  endlessQuery,
  endlessTexts,
  unreadReplies,
  unfinishedBodies,
];

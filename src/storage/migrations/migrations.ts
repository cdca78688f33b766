import type { Migration, MigrationProvider } from "kysely/migration";
import { firstTables } from "./0001-first-tables.ts";
import { idempotencyKeys } from "./0002-idempotency-keys.ts";
import { listExecutions } from "./0003-list-executions.ts";
import { origins } from "./0004-origins.ts";
import { runningTime } from "./0005-running-time.ts";
import { sealKeys } from "./0006-seal-keys.ts";
import { ownership } from "./0007-ownership.ts";
import { tenants } from "./0008-tenants.ts";
import { keyLife } from "./0009-key-life.ts";
import { workflowLife } from "./0010-workflow-life.ts";
import { draftTests } from "./0011-draft-tests.ts";
import { fairQueue } from "./0012-fair-queue.ts";
import { history } from "./0013-history.ts";
import { draftRetention } from "./0014-draft-retention.ts";
import { processNames } from "./0015-process-names.ts";
import { keySecrets } from "./0016-key-secrets.ts";
import { blame } from "./0017-blame.ts";
import { journalHeads } from "./0018-journal-heads.ts";
import { dueTimes } from "./0020-due-times.ts";
import { dayBytes } from "./0021-day-bytes.ts";
import { lossTimes } from "./0022-loss-times.ts";
import { earlyResponses } from "./0023-early-responses.ts";
import { wakeForResponses } from "./0024-wake-for-responses.ts";

/** All migrations by name, in the order of their names. A released one is never edited. */
export const migrations: MigrationProvider = {
  getMigrations: async (): Promise<Record<string, Migration>> => ({
    "0001-first-tables": firstTables,
    "0002-idempotency-keys": idempotencyKeys,
    "0003-list-executions": listExecutions,
    "0004-origins": origins,
    "0005-running-time": runningTime,
    "0006-seal-keys": sealKeys,
    "0007-ownership": ownership,
    "0008-tenants": tenants,
    "0009-key-life": keyLife,
    "0010-workflow-life": workflowLife,
    "0011-draft-tests": draftTests,
    "0012-fair-queue": fairQueue,
    "0013-history": history,
    "0014-draft-retention": draftRetention,
    "0015-process-names": processNames,
    "0016-key-secrets": keySecrets,
    "0017-blame": blame,
    "0018-journal-heads": journalHeads,
    "0020-due-times": dueTimes,
    "0021-day-bytes": dayBytes,
    "0022-loss-times": lossTimes,
    "0023-early-responses": earlyResponses,
    "0024-wake-for-responses": wakeForResponses,
  }),
};

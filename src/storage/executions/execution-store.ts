import type { Kysely } from "kysely";
import type { Outcome } from "../../domain/execution.ts";
import { defaultBatchLimits, type StoreOptions } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";
import { WatchedEnvironments } from "../webhooks/watched-environments.ts";
import { type AppendJournal, appendJournal } from "./append-journal.ts";
import { type BeginExecution, beginExecution } from "./begin-execution.ts";
import {
  type Ends,
  type GetResult,
  getExecutionResult,
  listEnded,
  readEnded,
  type UnreadEnd,
} from "./execution-results.ts";
import { deleteEnded, type Retention } from "./execution-retention.ts";
import { type Expired, type ExpireLimits, expireExecutions } from "./expire-executions.ts";
import {
  type FinishExecution,
  finishExecution,
  type RecordFinished,
  recordFinishedExecution,
  type Watched,
} from "./finish-execution.ts";
import { type FindBound, findBoundExecution } from "./idempotency-keys.ts";
import { type OpenedJournal, openJournal } from "./open-journal.ts";
import { type Repaired, type RepairPage, repairPage } from "./repair-executions.ts";
import { listSealingKeys, type SealingKeys } from "./sealing-keys.ts";
import { type Stop, type Stopped, stopExecution } from "./stop-execution.ts";

/**
 * Executions from begin to finish. Each is inserted once and finished once; in between it has a claim (`ClaimStore`).
 *
 * This class names the operations; each stands whole, with its contract and its statement, in the file it is imported from.
 * Any write may be repeated after a fault that left its outcome unknown: it recognises what was committed.
 */
export class ExecutionStore {
  readonly begin: BeginExecution;
  readonly findBound: FindBound;
  readonly append: AppendJournal;
  readonly finish: FinishExecution;
  readonly recordFinished: RecordFinished;
  readonly getResult: GetResult;
  readonly #db: Kysely<Tables>;
  readonly #callsDb: Kysely<Tables>;

  constructor(
    db: Kysely<Tables>,
    {
      callsDb = db,
      batchLimits = defaultBatchLimits,
      watched = new WatchedEnvironments(db),
    }: StoreOptions & { readonly watched?: Watched } = {},
  ) {
    this.#db = db;
    this.#callsDb = callsDb;
    this.begin = beginExecution({ db, callsDb }, batchLimits);
    this.findBound = findBoundExecution(db, batchLimits);
    this.append = appendJournal(db, batchLimits);
    this.finish = finishExecution(db, batchLimits, watched);
    this.recordFinished = recordFinishedExecution(db, batchLimits, watched);
    this.getResult = getExecutionResult(db, batchLimits);
  }

  async stop(stop: Stop): Promise<Stopped | undefined> {
    return await stopExecution(this.#callsDb, stop);
  }

  async expire(limits: ExpireLimits): Promise<ReadonlyMap<string, Expired>> {
    return await expireExecutions(this.#db, limits);
  }

  async openJournal(execution: { readonly id: string; readonly environmentId: string }): Promise<OpenedJournal> {
    return await openJournal(this.#db, execution);
  }

  async listEnded(ids: readonly string[]): Promise<Ends> {
    return await listEnded(this.#db, ids);
  }

  async readEnded(next: () => UnreadEnd | undefined): Promise<ReadonlyMap<string, Outcome>> {
    return await readEnded(this.#db, next);
  }

  async deleteEnded(retention: Retention): Promise<number> {
    return await deleteEnded(this.#db, retention);
  }

  async repair(page: RepairPage): Promise<Repaired> {
    return await repairPage(this.#db, page);
  }

  async listSealingKeys(): Promise<SealingKeys> {
    return await listSealingKeys(this.#db);
  }
}

import type { Kysely } from "kysely";
import { type Account, turnOf, turnOfTenant } from "../../domain/account.ts";
import type { NewExecution, NodeRun, Outcome } from "../../domain/execution.ts";
import { isId } from "../../domain/id.ts";
import { type ClaimedExecution, type Claimer, claimExecutions } from "../claims/claim-executions.ts";
import { type Queue, readQueue } from "../claims/claim-queue.ts";
import { findTurns, type TurnQuery, type Turns } from "../claims/next-accounts.ts";
import { buryDead, type Judge } from "../claims/reap-expired-owners.ts";
import {
  acquitSuspect,
  deferExecution,
  listOwned,
  putOffExecution,
  releaseOwned,
  releaseStrays,
  type Suspension,
  suspendExecution,
} from "../claims/release-claim.ts";
import { type ClockSet, heedClock } from "../postgres/database-clock.ts";
import { type CallsOptions, defaultSharing, SharedStatement } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";
import { type Appending, appendAll } from "./append-journal.ts";
import {
  type AccountKey,
  type Begin,
  type Beginning,
  type BoundExecution,
  beginExecutions,
  beginSeeded,
  findAllBound,
  keyOfBeginning,
} from "./begin-execution.ts";
import type { Claim } from "./claim-row.ts";
import {
  type Ends,
  type ExecutionRecord,
  type FoundResult,
  findResults,
  listEnded,
  type ResultQuery,
  readEnded,
  readResults,
  type UnreadEnd,
} from "./execution-result.ts";
import { deleteEnded, type Retention } from "./execution-retention.ts";
import { type ExpireLimits, expireExecutions } from "./expire-executions.ts";
import { type FinishedRun, type Finishing, finishAll, recordAllFinished } from "./finish-execution.ts";
import { type OpenedJournal, openJournal } from "./open-journal.ts";
import { type Repaired, type RepairPage, repairPage } from "./repair-executions.ts";
import { listSealed, type SealedBy } from "./sealing-keys.ts";
import { type Stop, stopExecution } from "./stop-execution.ts";

/** What is reckoned for a result before it is read: some are small, and some a mebibyte. */
const resultChars = 16 * 1024;

/**
 * What ran and runs. An execution is begun once and finished once; in between it has a claim, which says who runs it.
 *
 * Any write may be repeated after a fault that left its outcome unknown: what had been committed is recognised.
 */
export class ExecutionStore {
  readonly #db: Kysely<Tables>;
  readonly #callsDb: Kysely<Tables>;
  readonly #begin: SharedStatement<Beginning, BoundExecution | undefined>;
  readonly #findBound: SharedStatement<AccountKey, BoundExecution | undefined>;
  readonly #recordFinished: SharedStatement<FinishedRun, undefined>;
  readonly #append: SharedStatement<Appending, boolean>;
  readonly #finish: SharedStatement<Finishing, boolean>;
  readonly #findResult: SharedStatement<ResultQuery, FoundResult | undefined>;
  readonly #readResult: SharedStatement<ResultQuery & { readonly bytes: number }, ExecutionRecord | undefined>;

  constructor(db: Kysely<Tables>, { callsDb = db, sharing = defaultSharing }: CallsOptions = {}) {
    this.#db = db;
    this.#callsDb = callsDb;
    this.#begin = new SharedStatement({
      sharing,
      send: (all) => beginExecutions(db, all),
      turnOf: ({ execution }) => turnOf(execution),
      keyOf: keyOfBeginning,
      charsOf: ({ execution, begin: { flushes = [] } }) =>
        flushes.reduce((chars, { runs }) => chars + outputChars(runs), execution.payload.length),
    });
    this.#findBound = new SharedStatement({
      sharing,
      send: (all) => findAllBound(db, all),
      turnOf: (key) => turnOf(key),
    });
    this.#recordFinished = new SharedStatement({
      sharing,
      send: (all) => recordAllFinished(db, all),
      turnOf: ({ execution }) => turnOf(execution),
      charsOf: ({ execution, outcome, runs }) =>
        execution.payload.length + outputChars(runs) + (outcome.response ?? "").length,
    });
    this.#append = new SharedStatement({
      sharing,
      send: (all) => appendAll(db, all),
      turnOf: (appending) => turnOfTenant(appending),
      charsOf: ({ runs, answer }) => outputChars(runs) + (answer?.response ?? "").length,
    });
    this.#finish = new SharedStatement({
      sharing,
      send: (all) => finishAll(db, all),
      turnOf: (finishing) => turnOfTenant(finishing),
      charsOf: ({ flush, outcome }) => outputChars(flush?.runs ?? []) + (outcome.response ?? "").length,
    });
    this.#findResult = new SharedStatement({
      sharing,
      send: (all) => findResults(db, all),
      turnOf: (query) => turnOf(query),
      charsOf: () => resultChars,
    });
    this.#readResult = new SharedStatement({
      sharing: { ...sharing, inFlightMax: 1 },
      // To read, to hand over and to write out a mebibyte takes the database and this process as long as ten small calls.
      restShare: 2,
      send: (all) => readResults(db, all),
      turnOf: (query) => turnOf(query),
      charsOf: ({ bytes }) => bytes,
    });
  }

  /**
   * Accepts an execution: owned at once in epoch 1, or queued where no owner is given. Answers the execution that its
   * idempotency key stands for already, if there is one; then nothing was accepted.
   */
  async begin(execution: NewExecution, begin: Begin = {}): Promise<BoundExecution | undefined> {
    const item = { execution, begin };
    return (begin.flushes?.length ?? 0) > 1 ? await beginSeeded(this.#callsDb, item) : await this.#begin.call(item);
  }

  /** The execution that a key of an account stands for. */
  async findBound(account: Account, key: string): Promise<BoundExecution | undefined> {
    const { organizationId, environmentId, linkedAccountId } = account;
    return await this.#findBound.call({ organizationId, environmentId, linkedAccountId, key });
  }

  /** Keeps an execution that has run to its end before anything of it was kept. */
  async recordFinished(execution: NewExecution, outcome: Outcome, runs: readonly NodeRun[]): Promise<void> {
    await this.#recordFinished.call({ execution, outcome, runs });
  }

  /**
   * Adds to the journal, and sets the response where its node is among the records. False: another has taken the execution
   * over, and nothing was written.
   */
  async append(entry: Appending): Promise<boolean> {
    return await this.#append.call(entry);
  }

  /**
   * Ends an execution for good; a response that it has stays. False: another has taken it over or ended it, and nothing
   * was written.
   */
  async finish(end: Finishing): Promise<boolean> {
    return await this.#finish.call(end);
  }

  /**
   * Ends an execution from outside, queued or running, whoever runs it: its owner's later writes change nothing. Answers
   * how it ended, with the response that it has; undefined where it has ended before, or is not found.
   */
  async stop(stop: Stop): Promise<Outcome | undefined> {
    return await stopExecution(this.#callsDb, stop);
  }

  /**
   * Ends executions that have run, or are, too long, whoever has them; answers those that it ended and why, without the
   * responses that they have.
   */
  async expire(limits: ExpireLimits): Promise<ReadonlyMap<string, Outcome>> {
    return await expireExecutions(this.#db, limits);
  }

  /**
   * Deletes executions that ended longer ago than that, with all that is kept of them, at most `limit`; answers how
   * many. Their idempotency keys have run out by then.
   */
  async deleteEnded(retention: Retention): Promise<number> {
    return await deleteEnded(this.#db, retention);
  }

  /** Queues what owners without a live lease hold, but for the owner who says so. */
  async bury(judge: Judge): Promise<void> {
    await this.#db
      .transaction()
      .setIsolationLevel("read committed")
      .execute((transaction) => buryDead(transaction, judge));
  }

  /** The accounts that have something queued and due, and that may run more: some of each environment, by turns. */
  async findTurns(query: TurnQuery): Promise<Turns> {
    return await findTurns(this.#db, query);
  }

  /**
   * Takes executions over, each in a new epoch: of each account the oldest that are queued and due, and not more than
   * its share. Two callers never get the same one. A suspect is taken alone, while no other suspect is owned by anybody.
   */
  async claim(claimer: Claimer): Promise<readonly ClaimedExecution[]> {
    return await claimExecutions(this.#db, claimer);
  }

  /** Lets an execution wait, owned by nobody, for a time. False: another has taken it over, and nothing was written. */
  async suspend(wait: Suspension): Promise<boolean> {
    return await suspendExecution(this.#db, wait);
  }

  /**
   * Sets right what somebody made wrong by setting the database's clock: how long the executions of an owner have run,
   * and, where it was set back, when sleepers are due. Answers how many those were.
   */
  async heedClock(set: ClockSet): Promise<number> {
    return await heedClock(this.#db, set);
  }

  /** Puts the executions of an owner that stops back into the queue; answers how many. */
  async release({ owner }: { readonly owner: string }): Promise<number> {
    return await releaseOwned(this.#db, owner);
  }

  /** The executions that an owner has, as ids. */
  async listOwned(owner: string): Promise<readonly string[]> {
    return await listOwned(this.#db, owner);
  }

  /** Puts some executions of an owner, which it does not run, back into the queue; answers how many. */
  async releaseStrays(strays: { readonly owner: string; readonly ids: readonly string[] }): Promise<number> {
    return await releaseStrays(this.#db, strays);
  }

  /** What the journal of an execution holds, which this owner has claimed: only then do earlier owners write no more. */
  async openJournal(execution: { readonly id: string; readonly environmentId: string }): Promise<OpenedJournal> {
    return await openJournal(this.#db, execution);
  }

  /** Lets go of an execution for a time, through no fault of its own. False: another has taken it over. */
  async defer(wait: Claim & { readonly ms: number }): Promise<boolean> {
    return await deferExecution(this.#db, wait);
  }

  /** What is sealed in executions that have not ended: see SealedBy. */
  async listSealed(): Promise<SealedBy> {
    return await listSealed(this.#db);
  }

  /** Puts an execution that its owner could not go on with off for a while, and counts that as a loss. */
  async putOff(claim: Claim): Promise<void> {
    await putOffExecution(this.#db, claim);
  }

  /** Clears the suspect that an owner has tried: it is an execution like any other again. */
  async acquit(owner: string): Promise<void> {
    await acquitSuspect(this.#db, owner);
  }

  /**
   * How many executions of each account wait for somebody to run them, counted up to `max` in all, and in how many
   * milliseconds the next one is due that waits for a time.
   */
  async getQueue(max: number): Promise<Queue> {
    return await readQueue(this.#db, max);
  }

  /** Gives each unfinished execution of a page a claim, and each claim there an unfinished execution, or removes it. */
  async repair(page: RepairPage): Promise<Repaired> {
    return await repairPage(this.#db, page);
  }

  /**
   * How the executions among these stand that have ended, and which ended with more than one statement should read. The
   * ids are trusted: callers were found to own them.
   */
  async listEnded(ids: readonly string[]): Promise<Ends> {
    return await listEnded(this.#db, ids);
  }

  /** How some of those ended: as many as one statement should read, and one at the least. `next` gives one at a time. */
  async readEnded(next: () => UnreadEnd | undefined): Promise<ReadonlyMap<string, Outcome>> {
    return await readEnded(this.#db, next);
  }

  /**
   * How an execution of this account stands; that of another account or environment is not found.
   * @param hold is told how large it is before what is large is read, and throws where it is not to be
   */
  async getResult(query: ResultQuery, hold?: (bytes: number) => void): Promise<ExecutionRecord | undefined> {
    const found = isId(query.executionId) ? await this.#findResult.call(query) : undefined;
    if (found?.unreadBytes === undefined) return found?.record;
    const bytes = found.unreadBytes;
    hold?.(bytes);
    return await this.#readResult.call({ ...query, bytes });
  }
}

function outputChars(runs: readonly NodeRun[]): number {
  return runs.reduce((chars, { output = "" }) => chars + output.length, 0);
}

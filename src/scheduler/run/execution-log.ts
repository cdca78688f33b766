import type { Account } from "../../domain/account.ts";
import type { ExecutionDetail, NewExecution, NodeRun, Outcome } from "../../domain/execution.ts";
import type { ClaimedExecution, Claimer } from "../../storage/claims/claim-executions.ts";
import type { Suspension } from "../../storage/claims/claim-store.ts";
import type { Appending } from "../../storage/executions/append-journal.ts";
import type { Begin, Begun } from "../../storage/executions/begin-execution.ts";
import type { BegunChild, NewChild } from "../../storage/executions/children.ts";
import type { FamilyEnd } from "../../storage/executions/end-family.ts";
import type { Claim } from "../../storage/executions/execution-claim.ts";
import type { Ends, ExecutionRecord, ResultQuery, UnreadEnd } from "../../storage/executions/execution-results.ts";
import type { Finishing } from "../../storage/executions/finish-execution.ts";
import type { BoundExecution } from "../../storage/executions/idempotency-keys.ts";
import type { OpenedJournal } from "../../storage/executions/open-journal.ts";
import type { NewSignal, SignalName, SignalRead, SignalSet } from "../../storage/executions/signals.ts";
import type { Stop } from "../../storage/executions/stop-execution.ts";
import type { ReadSet } from "../../storage/tenants/read-set.ts";

/**
 * The seam between what decides and what is durable: the scheduler decides what an execution does next, the log keeps it.
 * The stores of `storage/` are the log on Postgres. Another durable engine could stand in their place; the contract that
 * it would have to keep is `test/scheduler/execution-log.test.ts`.
 *
 * What has settled is durable. Each write names an owner and an epoch, and once another has claimed the execution it
 * changes nothing and answers false (fencing). A write may be repeated when its answer was lost.
 */
export type ExecutionLog = {
  readonly executions: ExecutionRecords;
  readonly claims: ExecutionClaims;
  readonly signals: ExecutionSignals;
  readonly children: ExecutionChildren;
};

/** The state, the records and the answers of executions. */
export interface ExecutionRecords {
  /**
   * Accepts an execution, or answers the one that its idempotency key stands for, or that its read set has changed. Then nothing
   * is written.
   */
  begin(execution: NewExecution, begin?: Begin): Promise<Begun>;
  findBound(account: Account, key: string): Promise<BoundExecution | undefined>;
  /** Accepts and ends, in one write, an execution that ran in memory alone. False: its read set has changed. */
  recordFinished(
    execution: NewExecution,
    outcome: Outcome,
    runs: readonly NodeRun[],
    readSet?: ReadSet,
  ): Promise<boolean>;
  append(entry: Appending): Promise<boolean>;
  finish(end: Finishing): Promise<boolean>;
  /**
   * Ends an execution, whoever owns it, with the children that it waits for, and signals its parent. Answers at least the
   * state that it has then; undefined where it has ended before.
   */
  stop(stop: Stop): Promise<(Pick<ExecutionDetail, "state"> & FamilyEnd) | undefined>;
  /** Opens the journal for the owner that has claimed the execution: earlier owners write no more. */
  openJournal(execution: { readonly id: string; readonly environmentId: string }): Promise<OpenedJournal>;
  getResult(query: ResultQuery): Promise<ExecutionRecord | undefined>;
  listEnded(ids: readonly string[]): Promise<Ends>;
  readEnded(next: () => UnreadEnd | undefined): Promise<ReadonlyMap<string, Outcome>>;
}

/** The owner of an unfinished execution, and the due time of one without an owner. */
export interface ExecutionClaims {
  /** Takes over executions that are due, each in a new epoch. */
  claim(claimer: Claimer): Promise<readonly ClaimedExecution[]>;
  /** Gives an execution back until a time has passed (a Delay), or until one of the signals is set that it awaits. */
  suspend(wait: Suspension): Promise<boolean>;
  /** Gives an execution back for a while through no fault of its own. */
  defer(wait: Claim & { readonly ms: number }): Promise<boolean>;
  /** Gives back all that an owner has. */
  release(owner: { readonly owner: string }): Promise<number>;
}

/** What any process says to an execution that waits for it, or will: a named signal, kept before it is answered. */
export interface ExecutionSignals {
  /** Keeps the first signal of a name, and wakes the execution where it sleeps. */
  set(signal: NewSignal): Promise<SignalSet>;
  read(wait: SignalName): Promise<SignalRead>;
  /** Ends a wait for good, unless its signal came first: then that is answered. */
  close(wait: Claim & { readonly name: string }): Promise<SignalRead>;
}

/** Executions that nodes of other executions begin. The log knows which of them wait for which. */
export interface ExecutionChildren {
  /** The child that was begun under a name. */
  find(place: SignalName): Promise<string | undefined>;
  /**
   * Accepts a child, in the queue, ahead of new calls; or answers the one that was begun under this name. Both the child and
   * that its parent has begun it are durable then, or neither is.
   */
  begin(child: NewChild): Promise<BegunChild>;
  /**
   * As `ExecutionRecords.finish`, for an execution that may be a child or have some: in one write those that it waits for end
   * STOPPED, and the signal of its name is set for its parent. Undefined where it was fenced off.
   */
  finish(end: Finishing): Promise<FamilyEnd | undefined>;
}

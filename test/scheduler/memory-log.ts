import type { Account } from "../../src/domain/account.ts";
import type { Answer, NewExecution, NodeRun, Outcome } from "../../src/domain/execution.ts";
import type {
  ExecutionChildren,
  ExecutionClaims,
  ExecutionRecords,
  ExecutionSignals,
} from "../../src/scheduler/run/execution-log.ts";
import type { ClaimedExecution, Claimer } from "../../src/storage/claims/claim-executions.ts";
import type { Suspension } from "../../src/storage/claims/claim-store.ts";
import type { Appending } from "../../src/storage/executions/append-journal.ts";
import type { Begin, Begun } from "../../src/storage/executions/begin-execution.ts";
import { type BegunChild, childLimits, type NewChild } from "../../src/storage/executions/children.ts";
import type { FamilyEnd } from "../../src/storage/executions/end-family.ts";
import type { Claim } from "../../src/storage/executions/execution-claim.ts";
import type { Ends, ExecutionRecord, ResultQuery } from "../../src/storage/executions/execution-results.ts";
import type { Finishing } from "../../src/storage/executions/finish-execution.ts";
import type { BoundExecution } from "../../src/storage/executions/idempotency-keys.ts";
import type { OpenedJournal } from "../../src/storage/executions/open-journal.ts";
import type { NewSignal, SignalName, SignalRead, SignalSet } from "../../src/storage/executions/signals.ts";
import type { Stop } from "../../src/storage/executions/stop-execution.ts";
import type { ReadSet } from "../../src/storage/tenants/read-set.ts";

type Row = {
  readonly execution: NewExecution;
  readonly begin: Begin;
  readonly journal: Map<number, readonly NodeRun[]>;
  /** By name; undefined for a wait that was closed. */
  readonly signals: Map<string, Pick<NewSignal, "value" | "digest"> | undefined>;
  /** The executions that it has begun, by name. */
  readonly children: Map<string, { readonly id: string; readonly isDetached: boolean }>;
  /** The execution that waits for it, and the name that it has there. */
  parent?: { readonly row: Row; readonly name: string };
  depth: number;
  detached: number;
  owner: string | undefined;
  epoch: number;
  dueTime: number;
  wakeTime?: number;
  answer?: Answer | undefined;
  ended?: { readonly outcome: Outcome; readonly epoch: number };
};

/** An execution log in memory. It keeps the contract of `execution-log.test.ts`, and is one process's alone. */
export class MemoryLog implements ExecutionRecords, ExecutionClaims, ExecutionSignals {
  readonly children: ExecutionChildren = {
    find: async ({ executionId, name }) => this.#row(executionId).children.get(name)?.id,
    begin: async (child) => await this.#beginChild(child),
    finish: async (end) => ((await this.finish(end)) ? this.#endFamily(this.#row(end.executionId)) : undefined),
  };
  readonly #now: () => number;
  readonly #rows = new Map<string, Row>();
  readonly #changed = new Set<ReadSet>();

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  async begin(execution: NewExecution, begin: Begin = {}): Promise<Begun> {
    const { idempotencyKey, owner, flushes = [], answer, readSet } = begin;
    if (this.#rows.has(execution.id)) {
      return undefined;
    }
    if (readSet !== undefined && this.#changed.has(readSet)) {
      return "changed";
    }
    const bound = idempotencyKey && this.#findBound(execution, idempotencyKey.key);
    if (bound !== undefined && bound.executionId !== execution.id) {
      return bound;
    }
    const journal = new Map(flushes.map(({ index, runs }) => [index, runs]));
    const epoch = owner === undefined ? 0 : 1;
    const family = { children: new Map(), depth: 0, detached: 0 };
    const row = {
      execution,
      begin,
      journal,
      signals: new Map(),
      owner,
      epoch,
      dueTime: this.#now(),
      answer,
      ...family,
    };
    this.#rows.set(execution.id, row);
    return undefined;
  }

  async findBound(account: Account, key: string): Promise<BoundExecution | undefined> {
    return this.#findBound(account, key);
  }

  async recordFinished(
    execution: NewExecution,
    outcome: Outcome,
    runs: readonly NodeRun[],
    readSet?: ReadSet,
  ): Promise<boolean> {
    const flushes = runs.length === 0 ? [] : [{ index: 0, runs }];
    if ((await this.begin(execution, { owner: "", flushes, readSet })) === "changed") {
      return false;
    }
    this.#end(this.#row(execution.id), outcome);
    return true;
  }

  /** What this read set says holds no more. */
  change(readSet: ReadSet): void {
    this.#changed.add(readSet);
  }

  async append({ executionId, owner, epoch, flushIndex, runs, answer }: Appending): Promise<boolean> {
    const row = this.#owned({ executionId, owner, epoch });
    if (row === undefined) {
      return false;
    }
    if (runs.length > 0 && !row.journal.has(flushIndex)) {
      row.journal.set(flushIndex, runs);
    }
    row.answer ??= answer;
    return true;
  }

  async finish({ executionId, owner, epoch, outcome, flush }: Finishing): Promise<boolean> {
    if (this.#rows.get(executionId)?.ended?.epoch === epoch) {
      return true;
    }
    const row = this.#owned({ executionId, owner, epoch });
    if (row === undefined) {
      return false;
    }
    if (flush !== undefined) {
      row.journal.set(flush.index, flush.runs);
    }
    this.#end(row, outcome);
    return true;
  }

  async stop({ executionId, outcome }: Stop): Promise<(Outcome & FamilyEnd) | undefined> {
    const row = this.#rows.get(executionId);
    if (row === undefined || row.ended !== undefined) {
      return undefined;
    }
    row.epoch += 1;
    return { ...this.#end(row, outcome), ...this.#endFamily(row) };
  }

  async #beginChild({ name, mode, execution, begin, ...claim }: NewChild): Promise<BegunChild> {
    const row = this.#owned(claim);
    if (row === undefined) {
      return "superseded";
    }
    const known = row.children.get(name);
    if (known !== undefined) {
      return { executionId: known.id };
    }
    const isDetached = mode === "DETACHED";
    const place = { depth: isDetached ? 0 : row.depth + 1, detached: row.detached + (isDetached ? 1 : 0) };
    if (place.depth > childLimits.depthMax || place.detached > childLimits.detachedMax) {
      return "too_deep";
    }
    row.children.set(name, { id: execution.id, isDetached });
    await this.begin(execution, begin);
    Object.assign(this.#row(execution.id), { ...place, dueTime: 0, parent: isDetached ? undefined : { row, name } });
    return { executionId: execution.id };
  }

  /** Stops what an ended execution waits for, and tells the one that waits for it. */
  #endFamily({ children, parent, execution }: Row): FamilyEnd {
    const stopped = [...children.values()].flatMap(({ id, isDetached }) => {
      const row = this.#row(id);
      if (isDetached || row.ended !== undefined) {
        return [];
      }
      row.epoch += 1;
      this.#end(row, { state: "STOPPED" });
      return [id, ...this.#endFamily(row).stopped];
    });
    if (parent === undefined || parent.row.ended !== undefined) {
      return { stopped };
    }
    const { id: executionId, environmentId } = parent.row.execution;
    void this.set({ executionId, environmentId, name: parent.name, value: "ended", digest: execution.id });
    return { stopped, parentId: executionId };
  }

  async openJournal({ id }: { readonly id: string }): Promise<OpenedJournal> {
    const flushes = [...this.#row(id).journal].sort(([one], [other]) => one - other);
    return {
      bytes: JSON.stringify(flushes).length,
      nextFlushIndex: (flushes.at(-1)?.[0] ?? -1) + 1,
      read: async function* () {
        for (const [, runs] of flushes) {
          yield runs;
        }
      },
    };
  }

  async getResult({ executionId }: ResultQuery): Promise<ExecutionRecord | undefined> {
    const row = this.#rows.get(executionId);
    if (row === undefined) {
      return undefined;
    }
    const isWaiting = row.dueTime > this.#now();
    return row.ended?.outcome ?? { state: row.owner !== undefined ? "RUNNING" : isWaiting ? "WAITING" : "QUEUED" };
  }

  async listEnded(ids: readonly string[]): Promise<Ends> {
    const outcomes = new Map<string, Outcome>();
    for (const id of ids) {
      const ended = this.#rows.get(id)?.ended;
      if (ended !== undefined) {
        outcomes.set(id, ended.outcome);
      }
    }
    return { outcomes, unread: [] };
  }

  async readEnded(): Promise<ReadonlyMap<string, Outcome>> {
    return new Map();
  }

  async claim({ owner, shares }: Claimer): Promise<readonly ClaimedExecution[]> {
    return shares.flatMap(({ environmentId, linkedAccountId, count }) =>
      [...this.#rows.values()]
        .filter(({ execution }) => execution.environmentId === environmentId)
        .filter(({ execution }) => execution.linkedAccountId === linkedAccountId)
        .filter((row) => row.ended === undefined && row.owner === undefined && row.dueTime <= this.#now())
        .sort((one, other) => one.dueTime - other.dueTime)
        .slice(0, count)
        .map((row) => this.#claim(row, owner)),
    );
  }

  async suspend({ wakeTime, awaits = [], ...wait }: Suspension): Promise<boolean> {
    const row = this.#owned(wait);
    if (row !== undefined && awaits.some((name) => row.signals.has(name))) {
      delete row.wakeTime;
      return await this.defer({ ...wait, ms: 0 });
    }
    if (row !== undefined) {
      row.wakeTime = wakeTime;
    }
    return await this.defer(wait);
  }

  async set({ executionId, name, value, digest }: NewSignal): Promise<SignalSet> {
    const row = this.#rows.get(executionId);
    if (row?.signals.has(name) === true) {
      const known = row.signals.get(name);
      return known === undefined ? "closed" : known.digest === digest ? "repeated" : "taken";
    }
    if (row === undefined || row.ended !== undefined) {
      return "ended";
    }
    row.signals.set(name, { value, digest });
    if (row.owner === undefined) {
      row.dueTime = 0;
      delete row.wakeTime;
    }
    return "set";
  }

  async read({ executionId, name }: SignalName): Promise<SignalRead> {
    const signals = this.#row(executionId).signals;
    const known = signals.get(name);
    return known === undefined ? (signals.has(name) ? "closed" : "none") : { value: known.value };
  }

  async close({ name, ...claim }: Claim & { readonly name: string }): Promise<SignalRead> {
    const row = this.#owned(claim);
    if (row === undefined) {
      return "superseded";
    }
    if (!row.signals.has(name)) {
      row.signals.set(name, undefined);
    }
    return await this.read({ ...claim, name });
  }

  async defer({ ms, ...claim }: Claim & { readonly ms: number }): Promise<boolean> {
    const row = this.#owned(claim);
    if (row === undefined) {
      return false;
    }
    row.owner = undefined;
    row.dueTime = this.#now() + ms;
    return true;
  }

  async release({ owner }: { readonly owner: string }): Promise<number> {
    const rows = [...this.#rows.values()].filter((row) => row.owner === owner);
    for (const row of rows) {
      row.owner = undefined;
    }
    return rows.length;
  }

  #claim(row: Row, owner: string): ClaimedExecution {
    row.owner = owner;
    row.epoch += 1;
    const { execution, begin, epoch, wakeTime } = row;
    return {
      ...execution,
      epoch,
      dueTime: 0,
      isQuarantined: false,
      quarantineRuns: 0,
      isAnswered: row.answer !== undefined,
      linkedAccount: { id: execution.linkedAccountId, name: "", attributes: {} },
      ...(begin.sealKey !== undefined && { sealKey: begin.sealKey }),
      ...(wakeTime !== undefined && { wakeTime }),
    };
  }

  #end(row: Row, outcome: Outcome): Outcome {
    const ended = { ...outcome, ...row.answer };
    row.ended = { outcome: ended, epoch: row.epoch };
    row.owner = undefined;
    return ended;
  }

  #findBound({ environmentId, linkedAccountId }: Account, key: string): BoundExecution | undefined {
    for (const { execution, begin } of this.#rows.values()) {
      const { idempotencyKey } = begin;
      const isOfAccount = execution.environmentId === environmentId && execution.linkedAccountId === linkedAccountId;
      if (isOfAccount && idempotencyKey?.key === key) {
        return { executionId: execution.id, fingerprint: idempotencyKey.fingerprint };
      }
    }
    return undefined;
  }

  /** The row that a claim owns; undefined where it was fenced off. */
  #owned({ executionId, owner, epoch }: Pick<Claim, "executionId" | "owner" | "epoch">): Row | undefined {
    const row = this.#rows.get(executionId);
    return row?.owner === owner && row.epoch === epoch && row.ended === undefined ? row : undefined;
  }

  #row(executionId: string): Row {
    const row = this.#rows.get(executionId);
    if (row === undefined) {
      throw new Error(`there is no execution ${executionId}`);
    }
    return row;
  }
}

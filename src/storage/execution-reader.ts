import type { Kysely } from "kysely";
import type { ExecutionDetail, ExecutionFilter, ExecutionSummary, NewExecution, NodeRun } from "../domain/execution.ts";
import { isId } from "../domain/id.ts";
import type { Reach } from "../domain/principal.ts";
import { type ListedExecutions, listExecutions } from "./execution-list.ts";
import {
  claimState,
  ownColumns,
  ownerOrganization,
  parseEntries,
  startColumns,
  summaryColumns,
  toNewExecution,
  toSummary,
  workflowSlug,
} from "./execution-rows.ts";
import type { Flush } from "./flush.ts";
import type { Page } from "./page.ts";
import { journalTokenOf, parseJournalToken } from "./page-token.ts";
import { isWithin } from "./reach.ts";
import type { Tables } from "./tables.ts";

/** Which execution is meant. Where an account is named, that of another account is not found. */
export type ExecutionQuery = Reach & {
  readonly executionId: string;
  readonly linkedAccountId?: string;
};

/** An execution that was found: its id is one. */
export type FoundExecution = {
  readonly environmentId: string;
  readonly id: string;
  /** Whether it has ended: what it was about to send then, and has no answer of, is not known to have left. */
  readonly isEnded?: boolean;
};

export type ListedIterations = {
  readonly iterations: readonly NodeRun[];
  /** Absent on the last page. A page may hold fewer than were asked for and have one all the same. */
  readonly nextPageToken?: string;
};

/** Reads what ran and what runs. */
export class ExecutionReader {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async find(query: ExecutionQuery): Promise<ExecutionSummary | undefined> {
    const row = await this.#select(query)?.executeTakeFirst();
    return row && toSummary(row);
  }

  /** The same with what it was given and what it answered. */
  async get(query: ExecutionQuery): Promise<ExecutionDetail | undefined> {
    const row = await this.#select(query)?.select(["payload", "response"]).executeTakeFirst();
    return row && { ...toSummary(row), payload: row.payload, ...(row.response !== null && { response: row.response }) };
  }

  /** What an execution started from. */
  async getStart(query: ExecutionQuery): Promise<NewExecution | undefined> {
    const row = await this.#select(query)
      ?.clearSelect()
      .select([...startColumns, ownerOrganization])
      .executeTakeFirst();
    return row && toNewExecution(row);
  }

  /** All that is recorded of an execution, in the order in which it was written. */
  async listRecords(execution: FoundExecution): Promise<readonly NodeRun[]> {
    const records: NodeRun[] = [];
    for await (const { runs } of this.#readJournal(execution)) {
      for (const run of runs) records.push(run);
    }
    return records;
  }

  /**
   * Lists executions, newest first. What a page costs does not depend on how many came before it, nor on how few of
   * the executions are meant. Refuses with VALIDATION_ERROR a token that no page with this filter gave.
   */
  async list(filter: ExecutionFilter, page: Page): Promise<ListedExecutions> {
    return await listExecutions(this.#db, filter, page);
  }

  /** The visits of the nodes outside of Groups that are recorded so far, in the order in which they ended. */
  async listNodeRuns(execution: FoundExecution): Promise<readonly NodeRun[]> {
    const visits = new Map<string, NodeRun>();
    for await (const { runs } of this.#readJournal(execution)) {
      for (const { input, output, ...record } of runs) {
        const run = visitOf(record, execution);
        if (run !== undefined && run.path === run.node_id) {
          visits.delete(run.path);
          visits.set(run.path, run);
        }
      }
    }
    return [...visits.values()];
  }

  /** The visits of all nodes that are recorded so far, with what they gave, in the order in which they ended. */
  async listVisits(execution: FoundExecution): Promise<readonly NodeRun[]> {
    const visits = new Map<string, NodeRun>();
    for (const record of await this.listRecords(execution)) {
      const run = visitOf(record, execution);
      if (run === undefined) continue;
      visits.delete(run.path);
      visits.set(run.path, run);
    }
    return [...visits.values()];
  }

  /** The visit of a node, by its path in the run. */
  async getNodeRun(execution: FoundExecution, path: string): Promise<NodeRun | undefined> {
    let open: NodeRun | undefined;
    for await (const { runs } of this.#readJournal(execution)) {
      for (const record of runs) {
        const run = visitOf(record, execution);
        if (run?.path !== path) continue;
        if (run === record) return run;
        open = run;
      }
    }
    return open;
  }

  /**
   * Lists the recorded iterations of a Group by its path in the run, without their outputs, in the order in which they
   * ended. A page reads a bounded part of the journal. Refuses with VALIDATION_ERROR a token of another list.
   */
  async listIterations(execution: FoundExecution, path: string, page: Page): Promise<ListedIterations> {
    const { pageSize, pageToken } = page;
    const filters = { of: "iteration", environmentId: execution.environmentId, id: execution.id, path };
    const from = pageToken === undefined ? { flushIndex: 0, entry: 0 } : parseJournalToken(pageToken, filters);
    const iterations: NodeRun[] = [];
    for await (const { index, runs } of this.#readJournal(execution, from.flushIndex)) {
      if (index >= from.flushIndex + flushesPerPageMax) {
        return { iterations, nextPageToken: journalTokenOf({ flushIndex: index, entry: 0 }, filters) };
      }
      const first = index === from.flushIndex ? from.entry : 0;
      for (const [entry, { input, output, ...run }] of runs.entries()) {
        if (entry < first || !isIterationOf(path, run)) continue;
        if (iterations.length === pageSize) {
          return { iterations, nextPageToken: journalTokenOf({ flushIndex: index, entry }, filters) };
        }
        iterations.push(run);
      }
    }
    return { iterations };
  }

  #select(query: ExecutionQuery) {
    const { environmentId, executionId, linkedAccountId } = query;
    if (!isId(executionId)) {
      return undefined;
    }
    const execution = this.#db
      .selectFrom("execution")
      .select([...summaryColumns, "error", workflowSlug, claimState])
      .where("execution.id", "=", executionId.toLowerCase())
      .where("execution.environment_id", "=", environmentId)
      .where(isWithin(query, ownColumns));
    return linkedAccountId === undefined ? execution : execution.where("linked_account_id", "=", linkedAccountId);
  }

  /** The journal in the order in which it was written, a few flushes at a time, since a Group's can be long. */
  async *#readJournal({ environmentId, id }: FoundExecution, from = 0): AsyncGenerator<Flush> {
    let next: number | undefined = from;
    while (next !== undefined) {
      const rows: readonly { readonly flush_index: number; readonly entries: string }[] = await this.#db
        .selectFrom("journal")
        .select(["flush_index", "entries"])
        .where("execution_id", "=", id)
        .where("environment_id", "=", environmentId)
        .where("flush_index", ">=", next)
        .orderBy("flush_index")
        .limit(flushesMax)
        .execute();
      for (const { flush_index, entries } of rows) {
        yield { index: flush_index, runs: parseEntries(entries) };
      }
      const last = rows.at(-1);
      next = rows.length === flushesMax && last !== undefined ? last.flush_index + 1 : undefined;
    }
  }
}

/** Flushes that are read by one statement at most. */
const flushesMax = 16;

/** Flushes that are read for one page of iterations at most. */
const flushesPerPageMax = 64;

function isIterationOf(group: string, { path }: NodeRun): boolean {
  return path.startsWith(group) && /^\[\d+\]$/.test(path.slice(group.length));
}

/**
 * The visit of a node that a record tells of. The journal holds more than those: waits and attempts, whose paths do not
 * end with a node's id. What a node may send only once is recorded before it is sent; where nothing came of that until
 * the end, nobody knows whether it was, and a record of the visit that follows takes this one's place.
 */
function visitOf(record: NodeRun, { isEnded = false }: FoundExecution): NodeRun | undefined {
  const { path, node_id } = record;
  if (path === node_id || path.endsWith(`/${node_id}`)) return record;
  if (!isEnded || !isIntent(record)) return undefined;
  const message = "The request, which may be sent only once, was not answered before the execution ended.";
  const error = { reason: "OUTCOME_UNKNOWN", message, node_id };
  return { ...record, path: path.slice(0, -intentSuffix.length), state: "ERRORED", error };
}

const intentSuffix = "#intent";

function isIntent({ path }: NodeRun): boolean {
  return path.endsWith(intentSuffix);
}

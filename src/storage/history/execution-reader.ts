import { type Kysely, sql } from "kysely";
import type {
  ExecutionDetail,
  ExecutionFilter,
  ExecutionSummary,
  NewExecution,
  NodeRun,
} from "../../domain/execution.ts";
import { isId } from "../../domain/id.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { AccessScope } from "../../domain/principal.ts";
import {
  claimState,
  ownColumns,
  ownerOrganization,
  parseEntries,
  startColumns,
  summaryColumns,
  toDetail,
  toNewExecution,
  toSummary,
  workflowSlug,
} from "../executions/execution-rows.ts";
import { openJournal } from "../executions/open-journal.ts";
import { isWithin } from "../postgres/access-scope.ts";
import type { Page } from "../postgres/page.ts";
import { journalTokenOf, parseJournalToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import { type ListedExecutions, listExecutions } from "./execution-list.ts";
import { readHeads, sizeJournal } from "./journal-heads.ts";
import { claimOf, NodesUnderWay } from "./nodes-under-way.ts";

/** Where an account is named, an execution of another account is not found. */
export type ExecutionQuery = AccessScope & {
  readonly executionId: string;
  readonly linkedAccountId?: string;
};

/** The key of an execution that was found. */
export type FoundExecution = {
  readonly environmentId: string;
  readonly id: string;
  /** Whether it has ended. Then nobody knows whether a request without an answer was sent. */
  readonly isEnded?: boolean;
};

export type ListedIterations = {
  readonly iterations: readonly NodeRun[];
  /** Absent on the last page. A page with fewer rows than asked for may have one. */
  readonly nextPageToken?: string;
};

export type ListedNodeRuns = {
  readonly runs: readonly NodeRun[];
  /** Records with notes, those inside Groups included. */
  readonly notedRuns: number;
};

/** Reads executions and their journals for the API. */
export class ExecutionReader {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async find(query: ExecutionQuery): Promise<ExecutionSummary | undefined> {
    const row = await this.#select(query)?.executeTakeFirst();
    return row && toSummary(row);
  }

  /** The same with payload and response. */
  async get(query: ExecutionQuery): Promise<ExecutionDetail | undefined> {
    const row = await this.#select(query)?.select(["payload", "response"]).executeTakeFirst();
    return row && toDetail(row);
  }

  /** The response of an execution, which may be committed before its end. */
  async getResponse({ environmentId, id }: FoundExecution): Promise<JsonText | undefined> {
    const row = await this.#db
      .selectFrom("execution")
      .select("response")
      .where("id", "=", id)
      .where("environment_id", "=", environmentId)
      .executeTakeFirst();
    return row?.response ?? undefined;
  }

  /** The start of an execution, from which a replay makes another one. */
  async getStart(query: ExecutionQuery): Promise<NewExecution | undefined> {
    const row = await this.#select(query)
      ?.clearSelect()
      .select([...startColumns, ownerOrganization])
      .executeTakeFirst();
    return row && toNewExecution(row);
  }

  /**
   * The first execution of a chain of retries, or a synchronous one within the chain. Undefined where it has been deleted or
   * is too far back.
   */
  async findRetried({ environmentId, id }: FoundExecution): Promise<Pick<NewExecution, "type"> | undefined> {
    const { rows } = await sql<Pick<NewExecution, "type">>`
      with recursive chain as (
        select id, type, source, origin_id, 0 as depth from execution
          where id = ${id} and environment_id = ${environmentId}
        union all
        select origin.id, origin.type, origin.source, origin.origin_id, chain.depth + 1
          from chain join execution as origin
            on origin.id = chain.origin_id and origin.environment_id = ${environmentId}
          where chain.source = 'RETRY' and chain.type = 'ASYNC' and chain.depth < ${retryChainMax}
      )
      select type from chain where source <> 'RETRY' or type = 'SYNC'`.execute(this.#db);
    return rows[0];
  }

  /** The size of a journal: without large outputs, and in all. */
  async sizeRecords(execution: FoundExecution): Promise<{ readonly heads: number; readonly bytes: number }> {
    return await sizeJournal(this.#db, execution);
  }

  /** All records of an execution in the order in which they were written, without large outputs. */
  async *readHeads(execution: FoundExecution): AsyncGenerator<readonly NodeRun[]> {
    for await (const { runs } of readHeads(this.#db, execution)) {
      yield runs;
    }
  }

  /** All records of an execution in the order in which they were written, a bounded part at a time. */
  async *readRecords(execution: FoundExecution): AsyncGenerator<readonly NodeRun[]> {
    yield* (await openJournal(this.#db, execution)).read();
  }

  async list(filter: ExecutionFilter, page: Page): Promise<ListedExecutions> {
    return await listExecutions(this.#db, filter, page);
  }

  /**
   * The node runs outside Groups in the order in which they ended, then those under way. Undefined where the journal has more
   * than `bytesMax` bytes.
   */
  async listNodeRuns(execution: FoundExecution, bytesMax: number): Promise<ListedNodeRuns | undefined> {
    const visits = new Map<string, NodeRun>();
    const underWay = new NodesUnderWay();
    let notedRuns = 0;
    const heads = readHeads(this.#db, { ...execution, only: "outside", isSized: true });
    for await (const { runs, epoch, noted, total = 0 } of heads) {
      if (total > bytesMax) {
        return undefined;
      }
      notedRuns += noted;
      for (const { input, output, ...record } of runs) {
        if (!/[[/]/.test(record.path)) {
          underWay.add(record, epoch);
        }
        const run = visitOf(record, execution);
        if (run !== undefined && run.path === run.node_id) {
          visits.delete(run.path);
          visits.set(run.path, run);
        }
      }
    }
    return { runs: [...visits.values(), ...(await this.#list(underWay, execution))], notedRuns };
  }

  /** All node runs with their outputs, in the order in which they ended. Undefined where the journal exceeds `bytesMax`. */
  async listVisits(execution: FoundExecution, bytesMax: number): Promise<readonly NodeRun[] | undefined> {
    const journal = await openJournal(this.#db, execution);
    if (journal.bytes > bytesMax) {
      return undefined;
    }
    const visits = new Map<string, NodeRun>();
    for await (const runs of journal.read()) {
      for (const record of runs) {
        const run = visitOf(record, execution);
        if (run === undefined) {
          continue;
        }
        visits.delete(run.path);
        visits.set(run.path, run);
      }
    }
    return [...visits.values()];
  }

  /** A node run, by its path in the execution. */
  async getNodeRun(execution: FoundExecution, path: string): Promise<NodeRun | undefined> {
    let open: NodeRun | undefined;
    const underWay = new NodesUnderWay();
    for await (const { index, runs, isWhole, epoch } of readHeads(this.#db, { ...execution, only: { path } })) {
      for (const head of runs) {
        if (head.path.split("#")[0] === path) {
          underWay.add(head, epoch);
        }
        if (visitOf(head, execution)?.path !== path) {
          continue;
        }
        const record = isWhole ? head : await this.#readRecord(execution, index, head.path);
        const run = record && visitOf(record, execution);
        if (run === record && run !== undefined) {
          return run;
        }
        open = run;
      }
    }
    return open ?? (await this.#list(underWay, execution))[0];
  }

  /**
   * Lists the iterations of a Group, by its path in the execution, without their outputs, in the order in which they ended. A
   * page reads a bounded part of the journal. Throws VALIDATION_ERROR for a bad page token.
   */
  async listIterations(execution: FoundExecution, path: string, page: Page): Promise<ListedIterations> {
    const { pageSize, pageToken } = page;
    const filters = { of: "iteration", environmentId: execution.environmentId, id: execution.id, path };
    const from = pageToken === undefined ? { flushIndex: 0, entry: 0 } : parseJournalToken(pageToken, filters);
    const iterations: NodeRun[] = [];
    const heads = readHeads(this.#db, { ...execution, from: from.flushIndex, only: { path: `${path}[` } });
    for await (const { index, runs } of heads) {
      if (index >= from.flushIndex + flushesPerPageMax) {
        return { iterations, nextPageToken: journalTokenOf({ flushIndex: index, entry: 0 }, filters) };
      }
      const first = index === from.flushIndex ? from.entry : 0;
      for (const [entry, { input, output, ...run }] of runs.entries()) {
        if (entry < first || !isIterationOf(path, run)) {
          continue;
        }
        if (iterations.length === pageSize) {
          return { iterations, nextPageToken: journalTokenOf({ flushIndex: index, entry }, filters) };
        }
        iterations.push(run);
      }
    }
    return { iterations };
  }

  async #list(underWay: NodesUnderWay, execution: FoundExecution): Promise<readonly NodeRun[]> {
    const claim = execution.isEnded || underWay.isEmpty ? undefined : await claimOf(this.#db, execution);
    return claim === undefined ? [] : underWay.list(claim.epoch);
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

  async #readRecord({ environmentId, id }: FoundExecution, index: number, path: string): Promise<NodeRun | undefined> {
    const flush = await this.#db
      .selectFrom("journal")
      .select("entries")
      .where("execution_id", "=", id)
      .where("environment_id", "=", environmentId)
      .where("flush_index", "=", index)
      .executeTakeFirst();
    return flush && parseEntries(flush.entries).find((run) => run.path === path);
  }
}

/** The longest chain of retries that is followed. */
const retryChainMax = 1_000;

/** Flushes that are read for one page of iterations. */
const flushesPerPageMax = 64;

function isIterationOf(group: string, { path }: NodeRun): boolean {
  return path.startsWith(group) && /^\[\d+\]$/.test(path.slice(group.length));
}

/**
 * The node run that a record describes; undefined for the records of waits and attempts, whose paths do not end with the
 * id of a node. The intent of an AT_MOST_ONCE request is recorded before it is sent. Where no later record replaces the
 * intent until the execution ends, nobody knows whether the request was sent.
 */
function visitOf(record: NodeRun, { isEnded = false }: FoundExecution): NodeRun | undefined {
  const { path, node_id } = record;
  if (path === node_id || path.endsWith(`/${node_id}`)) {
    return record;
  }
  if (!isEnded || !isIntent(record)) {
    return undefined;
  }
  const message = "The request may be sent only once, and the execution ended before its answer was recorded.";
  const error = { reason: "OUTCOME_UNKNOWN", message, node_id };
  return { ...record, path: path.slice(0, -intentSuffix.length), state: "ERRORED", error };
}

const intentSuffix = "#intent";

function isIntent({ path }: NodeRun): boolean {
  return path.endsWith(intentSuffix);
}

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
import type { ReserveBytes } from "../executions/execution-results.ts";
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
} from "../executions/execution-rows.ts";
import { headOf } from "../executions/flush.ts";
import { openJournal } from "../executions/open-journal.ts";
import { isWithin } from "../postgres/access-scope.ts";
import type { Page } from "../postgres/page.ts";
import { journalTokenOf, parseJournalToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import type { AttemptList } from "./attempt-list.ts";
import { type ExecutionPage, type ListedExecutions, listExecutions } from "./execution-list.ts";
import { readHeads, sizeJournal } from "./journal-heads.ts";
import { claimOf, NodesUnderWay } from "./nodes-under-way.ts";
import { parentColumn, toFamilyDetail } from "./parentage.ts";
import { isIterationOf, visitOf } from "./visit-of.ts";

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

  /** The same with payload and response. `reserve` is called with their size before they are read, if that is large. */
  async get(query: ExecutionQuery, reserve?: ReserveBytes): Promise<ExecutionDetail | undefined> {
    const row = await this.#select(query)
      ?.select([textBytes.as("bytes"), ...smallTexts, parentColumn])
      .executeTakeFirst();
    if (row === undefined || row.bytes <= readAtOnceBytesMax) {
      return row && toFamilyDetail(row);
    }
    reserve?.(row.bytes);
    const texts = await this.#select(query)?.clearSelect().select(["payload", "response"]).executeTakeFirst();
    return texts && toFamilyDetail({ ...row, ...texts });
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
  sizeRecords(execution: FoundExecution): Promise<{ readonly heads: number; readonly bytes: number }> {
    return sizeJournal(this.#db, execution);
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

  list(filter: ExecutionFilter, page: ExecutionPage): Promise<ListedExecutions> {
    return listExecutions(this.#db, filter, page);
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
      for (const record of runs.map(headOf)) {
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

  /** A node run, by its path. `reserve` is called with the size of a large flush before it is read. */
  async getNodeRun(execution: FoundExecution, path: string, reserve?: ReserveBytes, attempts?: AttemptList) {
    let open: NodeRun | undefined;
    const underWay = new NodesUnderWay();
    for await (const { index, runs, isWhole, epoch } of readHeads(this.#db, { ...execution, only: { path } })) {
      for (const head of runs) {
        if (head.path.split("#")[0] === path) {
          underWay.add(head, epoch);
          attempts?.add(head);
        }
        if (visitOf(head, execution)?.path === path) {
          const record = isWhole ? head : await this.#readRecord(execution, { index, path: head.path, reserve });
          open = record && visitOf(record, execution);
          if (open === record && open !== undefined) {
            return open;
          }
        }
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
      for (const [entry, run] of runs.map(headOf).entries()) {
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

  async #readRecord(
    { environmentId, id }: FoundExecution,
    {
      index,
      path,
      reserve,
    }: { readonly index: number; readonly path: string; readonly reserve: ReserveBytes | undefined },
  ): Promise<NodeRun | undefined> {
    const flush = this.#db
      .selectFrom("journal")
      .where("execution_id", "=", id)
      .where("environment_id", "=", environmentId)
      .where("flush_index", "=", index);
    const size = reserve && (await flush.select(sql<number>`octet_length(entries)`.as("bytes")).executeTakeFirst());
    reserve?.(size?.bytes ?? 0);
    const row = await flush.select("entries").executeTakeFirst();
    return row && parseEntries(row.entries).find((run) => run.path === path);
  }
}

/** Larger texts are read by a statement of their own, once their reader has reserved memory for them. */
const readAtOnceBytesMax = 64 * 1024;

/** Postgres keeps the size of a text beside it, and answers it without reading the text. */
const textBytes = sql<number>`coalesce(octet_length(payload), 0) + coalesce(octet_length(response), 0)`;
const smallTexts = [
  sql<JsonText>`case when ${textBytes} <= ${readAtOnceBytesMax} then payload else '' end`.as("payload"),
  sql<JsonText | null>`case when ${textBytes} <= ${readAtOnceBytesMax} then response end`.as("response"),
];

/** The longest chain of retries that is followed. */
const retryChainMax = 1_000;

/** Flushes that are read for one page of iterations. */
const flushesPerPageMax = 64;

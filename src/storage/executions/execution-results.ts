import { type Kysely, type RawBuilder, sql } from "kysely";
import { type Account, turnOf } from "../../domain/account.ts";
import type { ExecutionError, ExecutionState, Outcome, TerminalState } from "../../domain/execution.ts";
import { isId } from "../../domain/id.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import { type AccessScope, isAccessible } from "../../domain/principal.ts";
import { boundsOf, byInputRow, inputRows } from "../postgres/input-rows.ts";
import { type BatchLimits, StatementBatcher } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";
import { claimState, toAnswer } from "./execution-rows.ts";

/** The state of an execution, and its response or error. */
export type ExecutionRecord = {
  readonly state: ExecutionState;
  readonly response?: JsonText;
  readonly statusCode?: number;
  readonly error?: ExecutionError;
};

/** An execution of an account, by its id. */
export type ResultQuery = AccessScope & Account & { readonly executionId: string };

const queryTypes = { environment_id: "text", linked_account_id: "text", id: "text" } as const;

type ResultRow = {
  readonly row: number;
  readonly workflow_id: string;
  readonly state: TerminalState | null;
  readonly response: JsonText | null;
  readonly status_code: number | null;
  readonly error: string | null;
  readonly claim_state: "QUEUED" | "RUNNING" | "WAITING";
  readonly bytes: number;
};

/** `unreadBytes` is set where the response and error are too large to be read with others; the record lacks them then. */
type FoundResult = { readonly record: ExecutionRecord; readonly unreadBytes?: number };

/** A larger result is read by a statement of its own, once its reader has reserved memory for it. */
const readAtOnceBytesMax = 64 * 1024;

/** The assumed size of a result before it is read: some are small, and some a mebibyte. */
const resultChars = 16 * 1024;

/** Reserves memory for so many bytes, or throws RequestError where the caller would hold too many. */
export type ReserveBytes = (bytes: number) => void;

/**
 * Answers the state and result of an execution of this account; undefined for one of another account or environment.
 * `reserve` is called with the size of a large result before it is read.
 */
export type GetResult = (query: ResultQuery, reserve?: ReserveBytes) => Promise<ExecutionRecord | undefined>;

export function getExecutionResult(db: Kysely<Tables>, limits: BatchLimits): GetResult {
  const finding = new StatementBatcher<ResultQuery, FoundResult | undefined>({
    name: "find_result",
    limits,
    send: (all) => findResults(db, all, readAtOnceBytesMax),
    turnOf,
    charsOf: () => resultChars,
  });
  const reading = new StatementBatcher<ResultQuery & { readonly bytes: number }, FoundResult | undefined>({
    name: "read_result",
    limits: { ...limits, inFlightMax: 1 },
    // To read, receive and write out a mebibyte costs the database and this process as much as ten small calls.
    restShare: 2,
    // No text of the database is larger.
    send: (all) => findResults(db, all, 2 ** 30),
    turnOf,
    charsOf: ({ bytes }) => bytes,
  });
  return async (query, reserve) => {
    const found = isId(query.executionId) ? await finding.call(query) : undefined;
    if (found?.unreadBytes === undefined) {
      return found?.record;
    }
    const bytes = found.unreadBytes;
    reserve?.(bytes);
    return (await reading.call({ ...query, bytes }))?.record;
  };
}

/** Postgres keeps the size of a text beside it, and answers it without reading the text. */
async function findResults(
  db: Kysely<Tables>,
  queries: readonly ResultQuery[],
  bytesMax: number,
): Promise<readonly (FoundResult | undefined)[]> {
  const input = queries.map(({ environmentId, linkedAccountId, executionId }) => ({
    environment_id: environmentId,
    linked_account_id: linkedAccountId,
    id: executionId.toLowerCase(),
  }));
  const { first, last } = boundsOf(input.map(({ id }) => id));
  const { rows } = await sql<ResultRow>`
    select input.row, execution.workflow_id, execution.state, execution.status_code, ${claimState}, size.bytes,
        case when size.bytes <= ${bytesMax} then execution.response end as response,
        case when size.bytes <= ${bytesMax} then execution.error end as error
      from ${inputRows("input", queryTypes, input)} join execution using (id, environment_id, linked_account_id)
      cross join lateral (
        select coalesce(octet_length(execution.response), 0) + coalesce(octet_length(execution.error), 0) as bytes
      ) as size
     where execution.id >= ${first} and execution.id <= ${last}
    `.execute(db);
  const found = byInputRow(queries, rows);
  return queries.map((query, index) => {
    const [row] = found[index] ?? [];
    const { linkedAccountId } = query;
    if (row === undefined || !isAccessible(query, { workflowId: row.workflow_id, linkedAccountId })) {
      return undefined;
    }
    const record = { state: row.state ?? row.claim_state, ...toAnswer(row) };
    return row.bytes <= bytesMax ? { record } : { record, unreadBytes: row.bytes };
  });
}

/** One statement reads results of this size, and at most one result more. */
const bytesPerRead = 2 * 1024 * 1024;

/** An execution that has ended, and the size of its result. */
export type UnreadEnd = { readonly id: string; readonly environmentId: string; readonly bytes: number };

export type Ends = {
  /** The ends whose results were read, by execution. */
  readonly outcomes: ReadonlyMap<string, Outcome>;
  /** The ends that would have been too much for this statement. */
  readonly unread: readonly UnreadEnd[];
};

type EndRow = Pick<ResultRow, "response" | "status_code" | "error"> & {
  readonly id: string;
  readonly environment_id: string;
  readonly state: TerminalState;
  readonly bytes: number;
  readonly is_read: boolean;
};

/**
 * Finds which of these executions have ended. It trusts the ids: their callers were found to own them. Environments take
 * turns, each with its smallest result first: a thousand large results of one leave room for those of another.
 */
export async function listEnded(db: Kysely<Tables>, ids: readonly string[]): Promise<Ends> {
  const { rows } = await sql<EndRow>`
    select id, environment_id, state, status_code, bytes, total <= ${bytesPerRead} as is_read,
        case when total <= ${bytesPerRead} then response end as response,
        case when total <= ${bytesPerRead} then error end as error
      from (
        select *, sum(bytes) over (order by rank, bytes, id) as total from (
          select *, row_number() over (partition by environment_id order by bytes, id) as rank from (
            select id, environment_id, state, status_code, response, error,
                coalesce(octet_length(response), 0) + coalesce(octet_length(error), 0) as bytes
              from ${among(ids)} where state is not null
          ) as ended
        ) as ended
      ) as ended`.execute(db);
  return {
    outcomes: new Map(rows.filter(({ is_read }) => is_read).map(toEnd)),
    unread: rows
      .filter(({ is_read }) => !is_read)
      .map(({ id, environment_id, bytes }) => ({ id, environmentId: environment_id, bytes })),
  };
}

/** Reads as many unread ends as one statement should, at least one. `next` gives one at a time. */
export async function readEnded(
  db: Kysely<Tables>,
  next: () => UnreadEnd | undefined,
): Promise<ReadonlyMap<string, Outcome>> {
  const ids: string[] = [];
  for (let bytes = 0; bytes < bytesPerRead; ) {
    const end = next();
    if (end === undefined) {
      break;
    }
    ids.push(end.id);
    bytes += end.bytes;
  }
  if (ids.length === 0) {
    return new Map();
  }
  const { rows } = await sql<Omit<EndRow, "environment_id" | "bytes" | "is_read">>`
    select id, state, response, status_code, error from ${among(ids)} where state is not null`.execute(db);
  return new Map(rows.map(toEnd));
}

/** The executions with these ids, as an item of a `from` list. */
function among(ids: readonly string[]): RawBuilder<unknown> {
  const { first, last } = boundsOf(ids);
  return sql`(
    select execution.* from unnest(${ids}::text[]) as wanted(id) join execution on execution.id = wanted.id
      and execution.id >= ${first} and execution.id <= ${last}
  ) as execution`;
}

function toEnd({ id, state, response, status_code, error }: Omit<EndRow, "environment_id" | "bytes" | "is_read">) {
  const end: [string, Outcome] = [id, { state, ...toAnswer({ response, status_code, error }) }];
  return end;
}

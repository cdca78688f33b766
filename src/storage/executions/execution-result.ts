import { type Kysely, sql } from "kysely";
import type { Account } from "../../domain/account.ts";
import type { ExecutionError, ExecutionState, Outcome, TerminalState } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json-text.ts";
import { isReached, type Reach } from "../../domain/principal.ts";
import { byInputRow, inputRows } from "../postgres/input-rows.ts";
import type { Tables } from "../postgres/tables.ts";
import { claimState, toAnswer } from "./execution-rows.ts";

/** How an execution stands, and what it answered. */
export type ExecutionRecord = {
  readonly state: ExecutionState;
  readonly response?: JsonText;
  readonly statusCode?: number;
  readonly error?: ExecutionError;
};

/** An execution of an account, by its id. */
export type ResultQuery = Reach & Account & { readonly executionId: string };

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

/** How an execution stands; `unreadBytes` is set where what it answered is so large that it is left out. */
export type FoundResult = { readonly record: ExecutionRecord; readonly unreadBytes?: number };

/** What is larger than this is read by itself, when it is known that its reader may have it. */
const readAtOnceBytesMax = 64 * 1024;

/** How executions stand: see ExecutionStore.getResult. The size of a text is known without its being read. */
export async function findResults(
  db: Kysely<Tables>,
  queries: readonly ResultQuery[],
  bytesMax = readAtOnceBytesMax,
): Promise<readonly (FoundResult | undefined)[]> {
  const input = queries.map(({ environmentId, linkedAccountId, executionId }) => ({
    environment_id: environmentId,
    linked_account_id: linkedAccountId,
    id: executionId.toLowerCase(),
  }));
  const { rows } = await sql<ResultRow>`
    select input.row, execution.workflow_id, execution.state, execution.status_code, ${claimState}, size.bytes,
        case when size.bytes <= ${bytesMax} then execution.response end as response,
        case when size.bytes <= ${bytesMax} then execution.error end as error
      from ${inputRows("input", queryTypes, input)} join execution using (id, environment_id, linked_account_id)
      cross join lateral (
        select coalesce(octet_length(execution.response), 0) + coalesce(octet_length(execution.error), 0) as bytes
      ) as size
    `.execute(db);
  const found = byInputRow(queries, rows);
  return queries.map((query, index) => {
    const [row] = found[index] ?? [];
    const { linkedAccountId } = query;
    if (row === undefined || !isReached(query, { workflowId: row.workflow_id, linkedAccountId })) return undefined;
    const record = { state: row.state ?? row.claim_state, ...toAnswer(row) };
    return row.bytes <= bytesMax ? { record } : { record, unreadBytes: row.bytes };
  });
}

/** The same with all that they answered, however large it is. */
export async function readResults(
  db: Kysely<Tables>,
  queries: readonly ResultQuery[],
): Promise<readonly (ExecutionRecord | undefined)[]> {
  // No text of the database's is larger.
  const found = await findResults(db, queries, 2 ** 30);
  return found.map((result) => result?.record);
}

/** How much of what executions answered one statement reads, and one result more at the most. */
const bytesPerRead = 2 * 1024 * 1024;

/** An execution that has ended, and how large what it answered is. */
export type UnreadEnd = { readonly id: string; readonly environmentId: string; readonly bytes: number };

export type Ends = {
  /** How those ended whose results were read. */
  readonly outcomes: ReadonlyMap<string, Outcome>;
  /** Those that would have been too much for one statement. */
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
 * See ExecutionStore.listEnded. The size of a text is known without its being read. Of what is read each environment has
 * one at a time, the smallest first: a thousand large results of one leave room for those of another.
 */
export async function listEnded(db: Kysely<Tables>, ids: readonly string[]): Promise<Ends> {
  const { rows } = await sql<EndRow>`
    select id, environment_id, state, status_code, bytes, total <= ${bytesPerRead} as is_read,
        case when total <= ${bytesPerRead} then response end as response,
        case when total <= ${bytesPerRead} then error end as error
      from (
        select *, sum(bytes) over (order by turn, bytes, id) as total from (
          select *, row_number() over (partition by environment_id order by bytes, id) as turn from (
            select id, environment_id, state, status_code, response, error,
                coalesce(octet_length(response), 0) + coalesce(octet_length(error), 0) as bytes
              from execution where id = any(${ids}::text[]) and state is not null
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

/** See ExecutionStore.readEnded. */
export async function readEnded(
  db: Kysely<Tables>,
  next: () => UnreadEnd | undefined,
): Promise<ReadonlyMap<string, Outcome>> {
  const ids: string[] = [];
  for (let bytes = 0; bytes < bytesPerRead; ) {
    const end = next();
    if (end === undefined) break;
    ids.push(end.id);
    bytes += end.bytes;
  }
  if (ids.length === 0) return new Map();
  const { rows } = await sql<Omit<EndRow, "environment_id" | "bytes" | "is_read">>`
    select id, state, response, status_code, error from execution
     where id = any(${ids}::text[]) and state is not null`.execute(db);
  return new Map(rows.map(toEnd));
}

function toEnd({ id, state, response, status_code, error }: Omit<EndRow, "environment_id" | "bytes" | "is_read">) {
  const end: [string, Outcome] = [id, { state, ...toAnswer({ response, status_code, error }) }];
  return end;
}

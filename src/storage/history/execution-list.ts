import { type ExpressionBuilder, type ExpressionWrapper, type Kysely, type SqlBool, sql } from "kysely";
import {
  type ExecutionFilter,
  type ExecutionState,
  type ExecutionSummary,
  isTerminal,
} from "../../domain/execution.ts";
import { claimState, ownColumns, summaryColumns, toSummary, workflowSlug } from "../executions/execution-rows.ts";
import { isWithin } from "../postgres/access-scope.ts";
import { cutLooked, lookedMax, type Page } from "../postgres/page.ts";
import { type PagePosition, pageTokenOf, parsePageToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";

export type ListedExecutions = {
  readonly executions: readonly ExecutionSummary[];
  /** Absent on the last page. A page may hold fewer than were asked for and have one all the same. */
  readonly nextPageToken?: string;
};

/** Longer errors are left out of lists, so that no page becomes too large. */
const errorBytesMax = 4096;

/** Lists executions: see ExecutionReader.list. */
export async function listExecutions(
  db: Kysely<Tables>,
  filter: ExecutionFilter,
  asked: Page,
): Promise<ListedExecutions> {
  const { workflowIds, linkedAccountIds, ...rest } = filter;
  const filters = { of: "execution", ...rest };
  const after = asked.pageToken === undefined ? undefined : parsePageToken(asked.pageToken, filters);
  // Read along one index, and only as far as the page needs. The rest of the filter stays outside: inside, the planner
  // takes it for so narrow that it would rather read and sort everything.
  const looked = db
    .selectFrom("execution")
    .select([...summaryColumns, "execution.environment_id", "execution.error"])
    .select((row) => isMeant(filter)(row).as("is_meant"))
    .select(sql<boolean>`row_number() over (order by create_time desc, id desc) = ${lookedMax}`.as("is_last"))
    .where(isIndexed(filter))
    .where(isBehind(filter, after))
    .orderBy("execution.create_time", "desc")
    .orderBy("execution.id", "desc")
    .limit(lookedMax)
    .as("execution");
  const rows = await db
    .selectFrom(looked)
    .select([...summaryColumns, "is_meant", "is_last", workflowSlug, claimState])
    .select(sql<string | null>`case when octet_length(error) <= ${errorBytesMax} then error end`.as("error"))
    // The last that is looked at comes too, meant or not: the next page goes on behind it.
    .where(({ or }) => or([sql<boolean>`is_meant`, sql<boolean>`is_last`]))
    .orderBy("execution.create_time", "desc")
    .orderBy("execution.id", "desc")
    .limit(asked.pageSize + 1)
    .execute();
  const { page, next } = cutLooked(rows, asked, (last) =>
    pageTokenOf({ createTime: last.create_time, id: last.id }, filters),
  );
  return { executions: page.map(toSummary), ...next };
}

type Row = ExpressionBuilder<Tables, "execution">;
type Condition = (row: Row) => ExpressionWrapper<Tables, "execution", SqlBool>;

/** As much of the filter as one index answers. */
function isIndexed({ environmentId, tag, linkedAccountId, workflowId, state }: ExecutionFilter): Condition {
  return (row) => {
    const inEnvironment = row("execution.environment_id", "=", environmentId);
    if (state === "QUEUED" || state === "RUNNING") {
      // Of these there are few, however much ever ran. An array, since the planner expects few ids of one: a join it may
      // well make by reading every execution.
      const claimed = claimsIn(row, state).select("execution_id").where("environment_id", "=", environmentId);
      return row.and([inEnvironment, row("execution.id", "=", sql<string>`any(array(${claimed}))`)]);
    }
    const narrow = (
      [
        ["tag", tag],
        ["linked_account_id", linkedAccountId],
        ["workflow_id", workflowId],
      ] as const
    ).find(([, value]) => value !== undefined);
    if (narrow === undefined) return inEnvironment;
    const [column, value] = narrow;
    // Spelled as the index has it.
    const key = sql<string>`(execution.environment_id || '/' || ${sql.ref(`execution.${column}`)})`;
    return row.and([
      row(key, "=", `${environmentId}/${value}`),
      ...(column === "tag" ? [row("execution.tag", "is not", null)] : []),
    ]);
  };
}

/** The whole filter but for the times. */
function isMeant(filter: ExecutionFilter): Condition {
  const { linkedAccountId, workflowId, state, source, type, tag } = filter;
  return (row) =>
    row.and([
      isWithin(filter, ownColumns),
      ...(tag === undefined ? [] : [row("execution.tag", "=", tag)]),
      ...(linkedAccountId === undefined ? [] : [row("execution.linked_account_id", "=", linkedAccountId)]),
      ...(workflowId === undefined ? [] : [row("execution.workflow_id", "=", workflowId)]),
      ...(source === undefined ? [] : [row("execution.source", "=", source)]),
      ...(type === undefined ? [] : [row("execution.type", "=", type)]),
      ...(state === undefined ? [] : [isIn(row, state)]),
    ]);
}

function isIn(row: Row, state: ExecutionState) {
  if (isTerminal(state)) return row("execution.state", "=", state);
  const claim = claimsIn(row, state)
    .select("execution_id")
    .whereRef("execution_claim.execution_id", "=", "execution.id")
    .whereRef("execution_claim.environment_id", "=", "execution.environment_id");
  return row.and([row("execution.state", "is", null), row.exists(claim)]);
}

/** The claims of what has not ended and is in this state, as `claimState` has it. */
function claimsIn(row: Row, state: ExecutionState) {
  const claims = row.selectFrom("execution_claim");
  if (state === "RUNNING") return claims.where("owner", "is not", null);
  return claims.where("owner", "is", null).where("due_time", state === "WAITING" ? ">" : "<=", sql<Date>`now()`);
}

/** The range of time, and what comes behind a place in the list. */
function isBehind({ createdSince, createdBefore }: ExecutionFilter, after?: PagePosition): Condition {
  return (row) => {
    const place = row.refTuple("execution.create_time", "execution.id");
    return row.and([
      ...(createdSince === undefined ? [] : [row("execution.create_time", ">=", createdSince)]),
      ...(createdBefore === undefined ? [] : [row("execution.create_time", "<", createdBefore)]),
      ...(after === undefined ? [] : [row(place, "<", row.tuple(after.createTime, after.id))]),
    ]);
  };
}

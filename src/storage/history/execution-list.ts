import { type ExpressionBuilder, type ExpressionWrapper, type Kysely, type SqlBool, sql } from "kysely";
import {
  type ExecutionFilter,
  type ExecutionState,
  type ExecutionSummary,
  isTerminal,
} from "../../domain/execution.ts";
import { idFrom } from "../../domain/id.ts";
import { claimState, ownColumns, summaryColumns, toSummary, workflowSlug } from "../executions/execution-rows.ts";
import { isWithin } from "../postgres/access-scope.ts";
import { cutLooked, lookedMax, type Page } from "../postgres/page.ts";
import { type PagePosition, pageTokenOf, parsePageToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";

/** A page of executions. `skip` rows are passed over first, among those that are scanned for the page. */
export type ExecutionPage = Page & { readonly skip?: number };

export type ListedExecutions = {
  readonly executions: readonly ExecutionSummary[];
  /** Absent on the last page. A page with fewer rows than asked for may have one. */
  readonly nextPageToken?: string;
};

/** Lists leave out longer errors, so that no page becomes too large. */
const errorBytesMax = 4096;

/** What a list looks at first. */
const recentMs = 2 * 86_400_000;

const noTime = new Date(0);

/**
 * An execution's id may have been made by a clock that is off by this much from the one that it was created by: partitions
 * are pruned by ids, with this margin.
 */
const idMarginMs = 86_400_000;

/**
 * Lists executions, newest first. The cost of a page depends neither on its place in the list nor on how few executions
 * match the filter. Throws VALIDATION_ERROR for a token that no page with this filter gave.
 */
export async function listExecutions(
  db: Kysely<Tables>,
  given: ExecutionFilter,
  asked: ExecutionPage,
): Promise<ListedExecutions> {
  const { workflowIds, linkedAccountIds, states, ...rest } = given;
  const filters = { of: "execution", ...rest, ...(states && { state: states.toSorted().join() }) };
  const filter = withinPrefix(given);
  const after = asked.pageToken === undefined ? undefined : parsePageToken(asked.pageToken, filters);
  const tokenOf = (last: Listed) => pageTokenOf({ createTime: last.create_time, id: last.id }, filters);
  const recent = new Date((after?.createTime ?? filter.createdBefore ?? new Date()).getTime() - recentMs);
  // Most pages are full of what is recent, and then the partitions of older days need not be opened.
  if (!isUnfinished(filter.states) && (filter.createdSince ?? noTime) < recent) {
    const rows = await readPage(db, filter, { asked, after, fromId: idAround(recent, -idMarginMs) });
    const listed = toListed(rows, asked, tokenOf);
    const last = rows[Math.min(rows.length, asked.pageSize) - 1];
    if (listed.nextPageToken !== undefined && last !== undefined && last.create_time >= recent) {
      return listed;
    }
  }
  return toListed(await readPage(db, filter, { asked, after, fromId: undefined }), asked, tokenOf);
}

/** The filter with the range of time that the seconds in the ids of a prefix leave. */
function withinPrefix(filter: ExecutionFilter): ExecutionFilter {
  const { idPrefix, createdSince = noTime, createdBefore } = filter;
  if (idPrefix === undefined) {
    return filter;
  }
  const secondOf = (digit: string) => Number.parseInt(idPrefix.slice(0, 8).padEnd(8, digit), 16) * 1000;
  const since = secondOf("0") - idMarginMs;
  const before = secondOf("f") + idMarginMs;
  return {
    ...filter,
    createdSince: new Date(Math.max(since, createdSince.getTime())),
    createdBefore: new Date(Math.min(before, createdBefore?.getTime() ?? before)),
  };
}

type Listed = Awaited<ReturnType<typeof readPage>>[number];

function toListed(rows: readonly Listed[], asked: Page, tokenOf: (last: Listed) => string): ListedExecutions {
  const { page, next } = cutLooked(rows, asked, tokenOf);
  return { executions: page.map(toSummary), ...next };
}

type PageQuery = {
  readonly asked: ExecutionPage;
  readonly after: PagePosition | undefined;
  /** The first id that is looked at; where it is undefined the filter says how far the list goes back. */
  readonly fromId: string | undefined;
};

async function readPage(db: Kysely<Tables>, filter: ExecutionFilter, { asked, after, fromId }: PageQuery) {
  // Reads along one index, and only as far as the page needs. The rest of the filter stays outside of the subquery: inside,
  // the planner expects few rows and would rather read and sort everything.
  const looked = db
    .selectFrom("execution")
    .select([...summaryColumns, "execution.environment_id", "execution.error"])
    .select((row) => isMeant(filter)(row).as("is_meant"))
    .select(sql<boolean>`row_number() over (order by create_time desc, id desc) = ${lookedMax}`.as("is_last"))
    .where(isIndexed(filter))
    .where(isBehind(filter, after))
    .where(isOfDays(filter, { after, fromId }))
    .orderBy("execution.create_time", "desc")
    .orderBy("execution.id", "desc")
    .limit(lookedMax)
    .as("execution");
  return await db
    .selectFrom(looked)
    .select([...summaryColumns, "is_meant", "is_last", workflowSlug, claimState])
    .select(sql<string | null>`case when octet_length(error) <= ${errorBytesMax} then error end`.as("error"))
    // The last row that was looked at comes too, whether it matches or not: the next page goes on behind it.
    .where(({ or }) => or([sql<boolean>`is_meant`, sql<boolean>`is_last`]))
    .orderBy("execution.create_time", "desc")
    .orderBy("execution.id", "desc")
    .limit(asked.pageSize + 1)
    .$if(asked.skip !== undefined, (rows) => rows.offset(asked.skip ?? 0))
    .execute();
}

/** Unfinished executions are found by their claims, however old they are. */
function isUnfinished(states: readonly ExecutionState[] | undefined): boolean {
  return states !== undefined && !states.some(isTerminal);
}

type Row = ExpressionBuilder<Tables, "execution">;
type Condition = (row: Row) => ExpressionWrapper<Tables, "execution", SqlBool>;

/** The part of the filter that one index answers. */
function isIndexed(filter: ExecutionFilter): Condition {
  const { environmentId, parentId, tag, linkedAccountId, workflowId, states } = filter;
  return (row) => {
    const inEnvironment = row("execution.environment_id", "=", environmentId);
    if (parentId === undefined && states?.every((state) => state === "QUEUED" || state === "RUNNING")) {
      // There are few of these, however many executions ever ran. An array, for which the planner expects few ids; it may
      // execute a join by reading every execution.
      const claimed = claimsIn(row, states).select("execution_id").where("environment_id", "=", environmentId);
      return row.and([inEnvironment, row("execution.id", "=", sql<string>`any(array(${claimed}))`)]);
    }
    if (parentId !== undefined) {
      // An array, as above.
      const children = row
        .selectFrom("child_execution")
        .select("child_id")
        .where("parent_id", "=", parentId.toLowerCase())
        .where("environment_id", "=", environmentId);
      return row.and([inEnvironment, row("execution.id", "=", sql<string>`any(array(${children}))`)]);
    }
    const narrow = (
      [
        ["tag", tag],
        ["linked_account_id", linkedAccountId],
        ["workflow_id", workflowId],
      ] as const
    ).find(([, value]) => value !== undefined);
    if (narrow === undefined) {
      return inEnvironment;
    }
    const [column, value] = narrow;
    // Spelled as the expression index has it.
    const key = sql<string>`(execution.environment_id || '/' || ${sql.ref(`execution.${column}`)})`;
    return row.and([
      row(key, "=", `${environmentId}/${value}`),
      ...(column === "tag" ? [row("execution.tag", "is not", null)] : []),
    ]);
  };
}

/** The whole filter except the range of time. */
function isMeant(filter: ExecutionFilter): Condition {
  const { linkedAccountId, workflowId, states, source, type, tag, errorReason, errorNodeId, idPrefix } = filter;
  return (row) =>
    row.and([
      isWithin(filter, ownColumns),
      ...(tag === undefined ? [] : [row("execution.tag", "=", tag)]),
      ...(linkedAccountId === undefined ? [] : [row("execution.linked_account_id", "=", linkedAccountId)]),
      ...(workflowId === undefined ? [] : [row("execution.workflow_id", "=", workflowId)]),
      ...(source === undefined ? [] : [row("execution.source", "=", source)]),
      ...(type === undefined ? [] : [row("execution.type", "=", type)]),
      ...(states === undefined ? [] : [row.or(states.map((state) => isIn(row, state)))]),
      ...(errorReason === undefined ? [] : [row(errorMember("reason"), "=", errorReason)]),
      ...(errorNodeId === undefined ? [] : [row(errorMember("node_id"), "=", errorNodeId)]),
      ...(idPrefix === undefined
        ? []
        : [row.between("execution.id", idPrefix.padEnd(24, "0"), idPrefix.padEnd(24, "f"))]),
    ]);
}

function isIn(row: Row, state: ExecutionState) {
  if (isTerminal(state)) {
    return row("execution.state", "=", state);
  }
  const claim = claimsIn(row, [state])
    .select("execution_id")
    .whereRef("execution_claim.execution_id", "=", "execution.id")
    .whereRef("execution_claim.environment_id", "=", "execution.environment_id");
  return row.and([row("execution.state", "is", null), row.exists(claim)]);
}

function errorMember(name: "reason" | "node_id") {
  return sql<string>`(execution.error::json ->> ${sql.lit(name)})`;
}

/** The claims of unfinished executions in any of these states, as `claimState` defines them. */
function claimsIn(row: Row, states: readonly ExecutionState[]) {
  return row
    .selectFrom("execution_claim")
    .where((claim) =>
      claim.or(
        states.map((state) =>
          state === "RUNNING"
            ? claim("owner", "is not", null)
            : claim.and([
                claim("owner", "is", null),
                claim("due_time", state === "WAITING" ? ">" : "<=", sql<Date>`now()`),
              ]),
        ),
      ),
    );
}

/** The range of time, and the rows behind the last one of the page before. */
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

/**
 * The bound by which Postgres prunes the partitions of other days: a page reads from its place backwards. It is one bound
 * and never two, for which the planner expects so few rows that it reads along no order and sorts them.
 */
function isOfDays(
  { createdSince, createdBefore }: ExecutionFilter,
  { after, fromId }: Pick<PageQuery, "after" | "fromId">,
): Condition {
  const before = after?.createTime ?? createdBefore;
  return (row) => {
    const since = fromId ?? (createdSince && idAround(createdSince, -idMarginMs));
    if (since !== undefined) {
      return row.and([row("execution.id", ">=", since)]);
    }
    return row.and(before === undefined ? [] : [row("execution.id", "<", idAround(before, idMarginMs))]);
  };
}

/** The id of a time, within what the seconds of an id can say. */
function idAround(time: Date, marginMs: number): string {
  return idFrom(Math.min(Math.max(0, time.getTime() + marginMs), (2 ** 32 - 1) * 1000));
}

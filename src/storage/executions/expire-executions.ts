import { type Kysely, type RawBuilder, sql } from "kysely";
import type { Outcome } from "../../domain/execution.ts";
import { cautiousNow, isClockAsExpected } from "../postgres/database-clock.ts";
import type { Tables } from "../postgres/tables.ts";
import { endFamily, endReleased, endsOfReleased, type FamilyEnd, type FamilyMember } from "./end-family.ts";
import { poisonLosses, ranMs } from "./execution-claim.ts";

export type ExpireLimits = {
  /** An execution may run for this long, without its waits. */
  readonly runMs: number;
  /** An execution may become this old, with its waits. */
  readonly ageMs: number;
  /** One statement ends this many at most. */
  readonly limit: number;
  /** The expected time of the database's clock. Where it differs, or is not known, no execution counts as too long. */
  readonly now: number | undefined;
};

/** How an execution ended, without the response that it may have, and what that is for others. */
export type Expired = FamilyEnd & { readonly outcome: Outcome };

/**
 * Ends executions that have run for too long, are too old, or are poisoned, whoever owns them. Answers how each ended.
 */
export async function expireExecutions(
  db: Kysely<Tables>,
  { runMs, ageMs, limit, now }: ExpireLimits,
): Promise<ReadonlyMap<string, Expired>> {
  const isOverdue = {
    column: "owner",
    condition: sql<boolean>`owner is not null and ${ranMs} > ${runMs} and ${isClockAsExpected(now)}`,
  } as const;
  const isTooOld = { column: "execution_id", condition: sql<boolean>`execution_id < ${idOfAge(ageMs)}` } as const;
  const isPoison = { column: "losses", condition: sql<boolean>`losses >= ${sql.lit(poisonLosses)}` } as const;
  const overdue = timedOut(`The execution has run for longer than ${runMs / 1000} seconds (limit runMs).`);
  const tooOld = timedOut(`The execution is older than ${ageMs / 1000} seconds (limit ageMs).`);
  return new Map([
    ...(await end(db, isOverdue, overdue, limit)),
    ...(await end(db, isTooOld, tooOld, limit)),
    ...(await end(db, isPoison, poisoned, limit)),
  ]);
}

/** The smallest id that an execution of that age may have: ids begin with their second. */
export function idOfAge(ms: number): RawBuilder<string> {
  return idAt(sql`${cautiousNow()} - make_interval(secs => ${ms / 1000})`);
}

/** The smallest id that is made at a time. */
export function idAt(time: RawBuilder<unknown>): RawBuilder<string> {
  return sql<string>`lpad(to_hex(extract(epoch from ${time})::bigint), 8, '0')`;
}

const poisoned: Outcome = {
  state: "ERRORED",
  error: {
    reason: "EXECUTION_POISONED",
    message: `${poisonLosses} processes in a row began to run it, and none could go on.`,
  },
};

function timedOut(message: string): Outcome {
  return { state: "TIMED_OUT", error: { reason: "EXECUTION_TIMED_OUT", message } };
}

/** Ordered by the column of its condition, so that Postgres reads that column's index and not the whole queue. */
type Which = { readonly column: "owner" | "execution_id" | "losses"; readonly condition: RawBuilder<boolean> };

type EndedRow = { readonly id: string; readonly environment_id: string; readonly is_ended: boolean };

/**
 * Ends many as `stopExecution` ends one. Executions that their owner is writing at this moment wait for the next sweep.
 * Those that wait for others, or that others wait for, end one by one.
 */
async function end(db: Kysely<Tables>, which: Which, outcome: Outcome, limit: number) {
  const due = (condition: RawBuilder<unknown>) => sql`
    select execution_id, environment_id from execution_claim as claim
     where ${which.condition} and ${condition} order by ${sql.ref(which.column)} limit ${limit}`;
  const { rows } = await sql<EndedRow>`
    with chosen as materialized (${due(sql`not ${isOfFamily}`)} for update skip locked),
    families as materialized (${due(isOfFamily)}),
    released as (
      delete from execution_claim as claim using chosen where claim.execution_id = chosen.execution_id
      returning claim.execution_id, claim.environment_id, claim.epoch
    ), ${endsOfReleased(outcome)}
    select id, environment_id, true as is_ended from ended
    union all select execution_id, environment_id, false from families`.execute(db);
  const all: [string, Expired][] = [];
  for (const { id, environment_id: environmentId, is_ended } of rows) {
    const family = is_ended ? alone : await endOne(db, { environmentId, executionId: id }, which, outcome);
    if (family !== undefined) {
      all.push([id, { outcome, ...family }]);
    }
  }
  return all;
}

const alone: FamilyEnd = { stopped: [] };

const isOfFamily = sql<boolean>`exists (
  select from child_execution as link where link.child_id = claim.execution_id
  union all select from child_execution as link where link.parent_id = claim.execution_id
)`;

async function endOne(
  db: Kysely<Tables>,
  member: FamilyMember,
  { condition }: Which,
  outcome: Outcome,
): Promise<FamilyEnd | undefined> {
  const { environmentId, executionId } = member;
  const claims = sql`claim.execution_id = ${executionId} and claim.environment_id = ${environmentId} and ${condition}`;
  return await endFamily(db, member, async (own) => (await endReleased(own, claims, outcome)).rows.at(0));
}

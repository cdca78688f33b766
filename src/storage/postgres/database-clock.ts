/**
 * What is done for what runs and sleeps when somebody sets the database's clock.
 *
 * It decides what is due, so that it being set forward makes sleepers due early, and nothing is done about that: seen
 * from a process that stood still, the database's clock jumps too. When it is set back, what was let sleep in what is the
 * future now shows it, and is due as much earlier.
 */
import { type Kysely, type RawBuilder, sql } from "kysely";
import type { Tables } from "./tables.ts";

/** How far two readings of the database's clock, by servers that take over from each other, may lie apart. */
const toleranceMs = 1_000;

/** A change of the database's clock: by how many milliseconds, as far as that is known, and who saw it. */
export type ClockSet = { readonly ms: number; readonly owner: string };

/** See ExecutionStore.heedClock. */
export async function heedClock(db: Kysely<Tables>, { ms, owner }: ClockSet): Promise<number> {
  // How long it has run so far is counted from when it was taken, by either clock.
  await sql`update execution_claim set run_since = run_since + ${ms}::float8 * interval '1 millisecond'
    where owner = ${owner}`.execute(db);
  const { rows } = await sql<{ execution_id: string }>`
    with ahead as materialized (
      select execution_id, greatest(due_set_time - now(), ${Math.max(0, -ms)}::float8 * interval '1 millisecond') as by
        from execution_claim
       where owner is null and due_time > now() and due_set_time > now() + ${tolerance}
         for update skip locked
    )
    update execution_claim as claim set due_time = due_time - ahead.by, due_set_time = due_set_time - ahead.by
      from ahead where claim.execution_id = ahead.execution_id
    returning claim.execution_id`.execute(db);
  return rows.length;
}

const tolerance = sql`${sql.lit(toleranceMs)} * interval '1 millisecond'`;

/**
 * Whether the database's clock says about what its reader expects, in milliseconds since 1970. Where it does not, it was
 * set this very moment, and every time that was written before is of another clock.
 */
export function isClockAsExpected(expectedNow: number | undefined): RawBuilder<boolean> {
  if (expectedNow === undefined) return sql<boolean>`false`;
  return sql<boolean>`abs(extract(epoch from now())::float8 * 1000 - ${expectedNow}::float8) < ${sql.lit(toleranceMs)}`;
}

/**
 * The time by which what is old is deleted and forgotten: the database's, or this process's where that is behind. Both
 * clocks have to be wrong before what is young is lost.
 */
export function cautiousNow(): RawBuilder<Date> {
  return sql<Date>`least(now(), ${new Date()}::timestamptz)`;
}

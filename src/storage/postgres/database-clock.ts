/**
 * The database's clock decides what is due, so that the processes need not agree on the time. These conditions guard
 * against somebody setting that clock.
 */
import { type RawBuilder, sql } from "kysely";

/** Two readings of the database's clock may differ by this much, where one server takes over from another. */
export const clockToleranceMs = 1_000;

/**
 * Whether the database's clock says about what its reader expects, in milliseconds since 1970. Where it does not, it was
 * set this very moment, and all times that were written before come from another clock.
 */
export function isClockAsExpected(expectedNow: number | undefined): RawBuilder<boolean> {
  if (expectedNow === undefined) {
    return sql<boolean>`false`;
  }
  return sql<boolean>`abs(extract(epoch from now())::float8 * 1000 - ${expectedNow}::float8) < ${sql.lit(clockToleranceMs)}`;
}

/**
 * The time by which old rows are deleted: the database's, or this process's where that is behind. Young rows are lost only
 * if both clocks are wrong.
 */
export function cautiousNow(ownNow: unknown = new Date()): RawBuilder<Date> {
  return sql<Date>`least(now(), ${ownNow}::timestamptz)`;
}

import type { Logger } from "pino";
import type { ClaimStore } from "../../storage/claims/claim-store.ts";
import type { Lease } from "../process/lease.ts";
import type { ActiveRuns } from "../run/active-runs.ts";

export type OwnClaimsOptions = {
  readonly claims: Pick<ClaimStore, "listOwned" | "releaseOrphans" | "correctForClockStep">;
  readonly owner: string;
  readonly runs: Pick<ActiveRuns, "has">;
  readonly lease: Pick<Lease, "clockSetMs" | "correctedClock">;
  readonly log: Logger;
};

/**
 * Queues orphaned claims again: rows that this process owns and does not run, since the answer to a write was lost. A run
 * takes its slot before its row is written. So a row that was read here, and has no run afterwards, has none.
 */
export async function releaseOrphans({ claims, owner, runs, log }: OwnClaimsOptions): Promise<void> {
  const owned = await claims.listOwned(owner);
  const ids = owned.filter((id) => !runs.has(id));
  if (ids.length === 0) {
    return;
  }
  const orphans = await claims.releaseOrphans({ owner, ids });
  if (orphans > 0) {
    log.warn({ orphans }, "executions that this process owned and did not run are queued again");
  }
}

/** Corrects the running times and due times of executions after somebody has set the database's clock. */
export async function correctForClockStep({ claims, owner, lease, log }: OwnClaimsOptions): Promise<void> {
  const ms = lease.clockSetMs;
  if (ms === undefined) {
    return;
  }
  const sleepers = await claims.correctForClockStep({ ms, owner });
  lease.correctedClock(ms);
  if (sleepers > 0) {
    log.warn({ sleepers }, "executions are due earlier, since the database's clock was set back");
  }
}

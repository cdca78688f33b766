import { type Kysely, type RawBuilder, sql, type Transaction } from "kysely";
import type { Outcome } from "../../domain/execution.ts";
import { isLockTimeout } from "../postgres/database-errors.ts";
import type { Tables } from "../postgres/tables.ts";
import { endedColumns, outbox } from "../webhooks/outbox.ts";
import { dueFirst } from "./execution-claim.ts";
import { toEndRow } from "./execution-rows.ts";

/** What the end of an execution is for its parent and its children. */
export type FamilyEnd = {
  /** The executions that ended with it, since only it waited for them. */
  readonly stopped: readonly string[];
  /** The execution that waited for this end, which is signalled. */
  readonly parentId?: string | undefined;
};

export type FamilyMember = { readonly environmentId: string; readonly executionId: string };

/** How often a transaction is repeated that waited in a circle with others. */
const triesMax = 3;

const stopped: Outcome = {
  state: "STOPPED",
  error: { reason: "EXECUTION_STOPPED", message: "The execution that waited for this one has ended." },
};

/**
 * Ends an execution that another one may wait for, or that waits for others, in one transaction: those that it waits for
 * end with it, and its parent is signalled. `end` ends the execution itself, and answers undefined where it must not.
 *
 * All claims of the family are locked first, in the order of their ids as every statement locks them, and a child's id
 * comes behind its parent's. A child that begins meanwhile has its parent's claim locked, and is found here.
 */
export async function endFamily<End>(
  db: Kysely<Tables>,
  member: FamilyMember,
  end: (transaction: Transaction<Tables>) => Promise<End | undefined>,
): Promise<(FamilyEnd & { readonly end: End }) | undefined> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await db.transaction().execute((transaction) => endIn(transaction, member, end));
    } catch (error) {
      if (!isLockTimeout(error) || tries === triesMax) {
        throw error;
      }
    }
  }
}

async function endIn<End>(
  db: Transaction<Tables>,
  member: FamilyMember,
  end: (transaction: Transaction<Tables>) => Promise<End | undefined>,
): Promise<(FamilyEnd & { readonly end: End }) | undefined> {
  const { isChild } = await lockOwnAndParent(db, member);
  const below = new Set<string>();
  for (let found = await listBelow(db, member); found.length > 0; ) {
    await lockClaims(db, member, found);
    found.forEach((id) => void below.add(id));
    found = (await listBelow(db, member)).filter((id) => !below.has(id));
  }
  const ended = await end(db);
  if (ended === undefined) {
    return undefined;
  }
  if (!isChild && below.size === 0) {
    return { end: ended, stopped: [] };
  }
  const stoppedIds = below.size === 0 ? [] : await stopAll(db, member, [...below]);
  return { end: ended, stopped: stoppedIds, parentId: await signalParent(db, member, stoppedIds) };
}

/** The unfinished executions that end with one: its children, and theirs, but for those that nobody waits for. */
async function listBelow(db: Kysely<Tables>, { environmentId, executionId }: FamilyMember): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    with recursive below(id) as (
      select ${executionId}::text collate "C"
      union all
      select link.child_id from below join child_execution as link on link.parent_id = below.id
       where link.environment_id = ${environmentId} and link.mode <> 'DETACHED' and not link.is_ended
    )
    select id from below where id <> ${executionId}`.execute(db);
  return rows.map(({ id }) => id);
}

/** Locks the claim of an execution, and that of the one that waits for it. Answers whether another execution began it. */
async function lockOwnAndParent(
  db: Kysely<Tables>,
  { environmentId, executionId }: FamilyMember,
): Promise<{ readonly isChild: boolean }> {
  const { rows } = await sql<{ is_child: boolean }>`
    with link as (
      select parent_id, mode from child_execution where child_id = ${executionId} and environment_id = ${environmentId}
    ), locked as (
      select from execution_claim
       where environment_id = ${environmentId}
         and execution_id = any(array[${executionId}, (select parent_id from link where mode <> 'DETACHED')])
       order by execution_id for no key update
    )
    select exists (select from link) as is_child, (select count(*) from locked)`.execute(db);
  return { isChild: rows[0]?.is_child === true };
}

async function lockClaims(
  db: Kysely<Tables>,
  { environmentId }: FamilyMember,
  below: readonly string[],
): Promise<void> {
  await sql`
    select from execution_claim where environment_id = ${environmentId} and execution_id = any(${below}::text[])
     order by execution_id for no key update`.execute(db);
}

async function stopAll(
  db: Kysely<Tables>,
  { environmentId }: FamilyMember,
  ids: readonly string[],
): Promise<readonly string[]> {
  const claims = sql`claim.execution_id = any(${ids}::text[]) and claim.environment_id = ${environmentId}`;
  const { rows } = await endReleased(db, claims, stopped);
  return rows.map(({ id }) => id);
}

/**
 * Ends the executions of some claims in a new epoch, so that their owners' later writes change nothing, and leaves committed
 * responses as they are.
 */
export function endReleased(db: Kysely<Tables>, claims: RawBuilder<unknown>, outcome: Outcome) {
  return sql<{ readonly id: string; readonly environment_id: string }>`
    with released as (
      delete from execution_claim as claim where ${claims}
      returning claim.execution_id, claim.environment_id, claim.epoch
    ), ${endsOfReleased(outcome)}
    select id, environment_id from ended`.execute(db);
}

/** The common table expressions that end the executions of the claims in `released`, and tell the webhooks of it. */
export function endsOfReleased(outcome: Outcome): RawBuilder<unknown> {
  const { state, error } = toEndRow(outcome);
  return sql`ended as (
      update execution set state = ${state}, error = ${error}, finished_epoch = released.epoch + 1, end_time = now()
        from released
       where execution.id = released.execution_id and execution.environment_id = released.environment_id
         and execution.state is null
      returning ${endedColumns}
    ), ${outbox}`;
}

/** The signal is there before the end can be seen. Answers the parent, where it waits. */
async function signalParent(
  db: Kysely<Tables>,
  { environmentId, executionId }: FamilyMember,
  stoppedIds: readonly string[],
): Promise<string | undefined> {
  const { rows } = await sql<{ parent_id: string }>`
    with link as (
      update child_execution set is_ended = true
       where child_id = any(${[executionId, ...stoppedIds]}::text[]) and environment_id = ${environmentId}
      returning parent_id, name, environment_id, child_id, mode
    ), told as (
      select * from link where child_id = ${executionId} and mode <> 'DETACHED'
    ), ${signalEnds}
    select parent_id from woken`.execute(db);
  return rows[0]?.parent_id;
}

/** Sets the signal of each child in `told`, and wakes its parent, as `SignalStore.set` does. */
export const signalEnds = sql`woken as (
      update execution_claim as claim
         set due_time = case when owner is null then ${dueFirst} else due_time end,
             wake_time = case when owner is null then null else wake_time end
        from told where claim.execution_id = told.parent_id and claim.environment_id = told.environment_id
      returning told.parent_id, told.name, told.environment_id, told.child_id
    ), signalled as (
      insert into signal (execution_id, name, environment_id, value, digest)
      select parent_id, name, environment_id, 'ended', child_id from woken on conflict (execution_id, name) do nothing
    )`;

import { type Kysely, sql } from "kysely";
import type { ChildMode, NewExecution } from "../../domain/execution.ts";
import type { Tables } from "../postgres/tables.ts";
import { type Begin, beginIn, insertStatements } from "./begin-execution.ts";
import { endFamily, type FamilyEnd, signalEnds } from "./end-family.ts";
import { type Claim, dueFirst } from "./execution-claim.ts";
import { idOfAge } from "./expire-executions.ts";
import { type Finishing, finishOne } from "./finish-execution.ts";
import type { SignalName } from "./signals.ts";

/** A child that a node of an execution begins, once under its name. Its id comes behind its parent's. */
export type NewChild = Claim & {
  readonly name: string;
  readonly mode: ChildMode;
  readonly execution: NewExecution;
  readonly begin: Pick<Begin, "sealKey" | "sealedBy">;
};

/**
 * The child of a node, begun now or before; or why there is none. `changed`: its version or its account is gone.
 * `too_deep`: more ancestors than may wait for one another, or than may have begun each other. `too_many`: of one root.
 */
export type BegunChild = { readonly executionId: string } | "superseded" | "changed" | "too_deep" | "too_many";

/** The bounds of a family. */
export const childLimits = { depthMax: 20, detachedMax: 1_000, descendantsMax: 10_000 } as const;

/**
 * The executions that nodes of other executions begin. The row of a child commits together with what binds it to its
 * parent's node: whoever replays the parent finds the one child that there is.
 */
export class ChildStore {
  readonly #db: Kysely<Tables>;
  readonly #insert = insertStatements();

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** The child that a node has begun before. */
  async find({ environmentId, executionId, name }: SignalName): Promise<string | undefined> {
    return await findChild(this.#db, { environmentId, executionId, name });
  }

  /** Begins a child in the queue, ahead of new calls, or answers the one that the node has begun before. */
  async begin({ name, mode, execution, begin, ...claim }: NewChild): Promise<BegunChild> {
    const { environmentId, executionId } = claim;
    return await this.#db.transaction().execute(async (db) => {
      const owned = await db
        .selectFrom("execution_claim")
        .select("epoch")
        .where("execution_id", "=", executionId)
        .where("environment_id", "=", environmentId)
        .where("owner", "=", claim.owner)
        .where("epoch", "=", claim.epoch)
        .forNoKeyUpdate()
        .executeTakeFirst();
      if (owned === undefined) {
        return "superseded";
      }
      const known = await findChild(db, { environmentId, executionId, name });
      if (known !== undefined) {
        return { executionId: known };
      }
      const place = await placeOf(db, { environmentId, executionId, mode });
      if (place.depth > childLimits.depthMax || place.detached > childLimits.detachedMax) {
        return "too_deep";
      }
      if (place.descendants >= childLimits.descendantsMax) {
        return "too_many";
      }
      if ((await beginIn(db, this.#insert, { execution, begin })) !== undefined) {
        return "changed";
      }
      const { id: child_id } = execution;
      const { root_id, depth, detached } = place;
      await db
        .with("ahead", (query) =>
          query.updateTable("execution_claim").set({ due_time: dueFirst }).where("execution_id", "=", child_id),
        )
        .insertInto("child_execution")
        .values({
          ...{ parent_id: executionId, name, environment_id: environmentId, child_id, root_id, mode, depth, detached },
        })
        .execute();
      return { executionId: child_id };
    });
  }

  /** Ends an execution that is a child or may have children, by its owner. Undefined where it was fenced off. */
  async finish(finishing: Finishing): Promise<FamilyEnd | undefined> {
    const ended = await endFamily(this.#db, finishing, async (db) => (await finishOne(db, finishing)) || undefined);
    return ended && { stopped: ended.stopped, parentId: ended.parentId };
  }

  /**
   * Signals parents that were not told of their child's end, as where a process of an earlier version ended it. Answers
   * the parents.
   */
  async mend({ limit }: { readonly limit: number }): Promise<readonly string[]> {
    const { rows } = await sql<{ parent_id: string }>`
      with missed as materialized (
        select link.child_id from child_execution as link
         where not link.is_ended and link.mode <> 'DETACHED'
           and not exists (select from execution_claim as claim where claim.execution_id = link.child_id)
           and not exists (select from execution where execution.id = link.child_id and execution.state is null)
         order by link.child_id limit ${limit} for update skip locked
      ), told as (
        update child_execution as link set is_ended = true from missed where link.child_id = missed.child_id
        returning link.parent_id, link.name, link.environment_id, link.child_id
      ), ${signalEnds}
      select parent_id from woken`.execute(this.#db);
    return rows.map(({ parent_id }) => parent_id);
  }

  /** Forgets children that were deleted, at most `limit`, of those that are older than `ms`. Answers how many. */
  async clear({ ms, limit }: { readonly ms: number; readonly limit: number }): Promise<number> {
    const { numAffectedRows = 0n } = await sql`
      delete from child_execution where child_id in (
        select child_id from child_execution as link
         where child_id < ${idOfAge(ms)} and not exists (select from execution where execution.id = link.child_id)
         limit ${limit}
      )`.execute(this.#db);
    return Number(numAffectedRows);
  }
}

async function findChild(db: Kysely<Tables>, { environmentId, executionId, name }: SignalName) {
  const link = await db
    .selectFrom("child_execution")
    .select("child_id")
    .where("parent_id", "=", executionId)
    .where("environment_id", "=", environmentId)
    .where("name", "=", name)
    .executeTakeFirst();
  return link?.child_id;
}

/** Where a new child of an execution stands among its ancestors, and how many descendants its root has. */
async function placeOf(
  db: Kysely<Tables>,
  { environmentId, executionId, mode }: Omit<SignalName, "name"> & { readonly mode: ChildMode },
) {
  const { rows } = await sql<{ root_id: string; depth: number; detached: number; descendants: number }>`
    select parent.root_id, case when ${mode} = 'DETACHED' then 0 else parent.depth + 1 end as depth,
           case when ${mode} = 'DETACHED' then parent.detached + 1 else parent.detached end as detached,
           (select count(*)::int from child_execution as link where link.root_id = parent.root_id) as descendants
      from (
        select root_id, depth, detached from child_execution
         where child_id = ${executionId} and environment_id = ${environmentId}
        union all select ${executionId}::text, 0, 0
         limit 1
      ) as parent`.execute(db);
  const [{ root_id = executionId, depth = 0, detached = 0, descendants = 0 } = {}] = rows;
  return { root_id, depth, detached, descendants };
}

import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

/** A migration with a part that takes long and keeps nobody waiting, which runs before the transaction of all migrations. */
export type PreparedMigration = Migration & {
  /** It may have been interrupted, and is begun again then. */
  // biome-ignore lint/suspicious/noExplicitAny: as Kysely declares the parameter of `up`.
  readonly prepare?: (db: Kysely<any>) => Promise<void>;
};

/**
 * The table that is there becomes the first partition, with the rows that it has and those of the next days: no row is
 * copied. Days have partitions from then on. Where this migration is killed between its two parts, an earlier version
 * works on for this long.
 */
const aheadDays = 7;

/** The columns by whose days the tables are partitioned. */
const keys = { execution: "id", journal: "execution_id" } as const;

const parts = ["execution", "journal"] as const;

/** The partition is attached at once where a constraint says that it has no rows beyond its bound. */
export const partitionHistory: PreparedMigration = {
  prepare: async (db) => {
    if (await isPrepared(db)) {
      return;
    }
    // Ids begin with their second, and those of a process with a wrong clock may be ahead.
    const { rows } = await sql<{ bound: string }>`
      select lpad(to_hex((floor(greatest(extract(epoch from now()), ('x' || left(last, 8))::bit(32)::bigint) / 86400)::bigint
             + ${aheadDays}::int) * 86400), 8, '0') as bound
        from (select greatest((select max(id) from execution), (select max(execution_id) from journal), '00000000') as last)
          as history`.execute(db);
    const bound = sql.lit(rows[0]?.bound ?? "");
    for (const table of parts) {
      const [name, constraint] = [sql.table(table), sql.ref(`${table}_before`)];
      await sql`alter table ${name} drop constraint if exists ${constraint},
        add constraint ${constraint} check (${sql.ref(keys[table])} < ${bound}) not valid`.execute(db);
      await sql`alter table ${name} validate constraint ${constraint}`.execute(db);
    }
    if (await hasConstraint(db, "execution_error_at_end")) {
      await validateErrors.execute(db);
    }
  },
  up: async (db) => {
    // Less than the time after which Postgres looks for a deadlock: statements that wait fail no sooner than this does.
    await sql`set local lock_timeout = '500ms'`.execute(db);
    await sql`lock table execution, journal in access exclusive mode`.execute(db);
    await validateErrors.execute(db);
    for (const table of parts) {
      const [name, before, key] = [sql.table(table), sql.table(`${table}_before`), sql.ref(keys[table])];
      const { rows } = await sql<{ bound: string }>`
        select substring(pg_get_constraintdef(oid) from '''[0-9a-f]{8}''') as bound
          from pg_constraint where conname = ${`${table}_before`}`.execute(db);
      await sql`alter table ${name} rename to ${before}`.execute(db);
      for (const index of indexes[table]) {
        await sql`alter index ${sql.ref(index)} rename to ${sql.ref(index.replace(table, `${table}_before`))}`.execute(
          db,
        );
      }
      for (const trigger of triggers[table]) {
        await sql`drop trigger ${sql.ref(trigger)} on ${before}`.execute(db);
      }
      await sql`create table ${name} (like ${before} including defaults including constraints)
        partition by range (${key})`.execute(db);
      await sql`alter table ${name} drop constraint ${sql.ref(`${table}_before`)}`.execute(db);
      for (const statement of definitions[table]) {
        await statement.execute(db);
      }
      await sql`alter table ${name} attach partition ${before}
        for values from (minvalue) to (${sql.raw(rows[0]?.bound ?? "")})`.execute(db);
      await sql`alter table ${before} drop constraint ${sql.ref(`${table}_before`)}`.execute(db);
    }
    await sql`create table execution_default partition of execution default with (fillfactor = 85)`.execute(db);
    await sql`create table journal_default partition of journal default`.execute(db);
  },
};

/** Where it was added for rows to come alone, a partition could not be attached. */
const validateErrors = sql`alter table execution validate constraint execution_error_at_end`;

/** Whether both tables have been looked through, for a bound that is far enough ahead. */
// biome-ignore lint/suspicious/noExplicitAny: as Kysely declares the parameter of `up`.
async function isPrepared(db: Kysely<any>): Promise<boolean> {
  const { rows } = await sql`
    select from pg_constraint
     where conname = any(${parts.map((table) => `${table}_before`)}::text[]) and convalidated
       and substring(pg_get_constraintdef(oid) from $$'([0-9a-f]{8})'$$)
         > lpad(to_hex(extract(epoch from now() + interval '2 days')::bigint), 8, '0')`.execute(db);
  return rows.length === parts.length;
}

// biome-ignore lint/suspicious/noExplicitAny: as Kysely declares the parameter of `up`.
async function hasConstraint(db: Kysely<any>, name: string): Promise<boolean> {
  const { rows } = await sql`select from pg_constraint where conname = ${name}`.execute(db);
  return rows.length > 0;
}

const indexes = {
  execution: [
    "execution_pkey",
    "execution_newest",
    "execution_of_account",
    "execution_of_workflow",
    "execution_of_tag",
    "execution_of_draft",
  ],
  journal: ["journal_pkey"],
} as const;

const triggers = {
  execution: ["execution_is_final", "execution_response_is_final"],
  journal: ["journal_is_final"],
} as const;

/** What the tables had before. The indexes of the first partition become part of these. */
const definitions = {
  execution: [
    sql`alter table execution add primary key (id)`,
    sql`create index execution_newest on execution (environment_id, create_time, id)`,
    sql`create index execution_of_account on execution ((environment_id || '/' || linked_account_id), create_time, id)`,
    sql`create index execution_of_workflow on execution ((environment_id || '/' || workflow_id), create_time, id)`,
    sql`create index execution_of_tag on execution ((environment_id || '/' || tag), create_time, id)
      where tag is not null`,
    sql`create index execution_of_draft on execution (environment_id, workflow_id, version) where version < 0`,
    sql`create trigger execution_is_final before update on execution for each row
      when (old.state is not null) execute function flowcall_refuse_change()`,
    sql`create trigger execution_response_is_final before update on execution for each row
      when (old.response is not null and (new.response, new.status_code) is distinct from (old.response, old.status_code))
      execute function flowcall_keep_response()`,
  ],
  journal: [
    sql`alter table journal add primary key (execution_id, flush_index)`,
    sql`create trigger journal_is_final before update on journal for each row
      execute function flowcall_refuse_change()`,
  ],
} as const;

/**
 * Changes of one row that are recorded: each is one statement with the audit event in it, so that both are committed or
 * neither, in one round trip.
 */
import { type Kysely, type RawBuilder, sql } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import { etagMismatch } from "../../domain/http/etag-mismatch.ts";
import type { RequestError } from "../../domain/request-error.ts";
import { anyOf } from "../postgres/any-of.ts";
import { brokenConstraint } from "../postgres/database-errors.ts";
import type { Tables } from "../postgres/tables.ts";
import { integrationNotFound } from "./integration-not-found.ts";
import { accountNotFound } from "./linked-account-store.ts";
import { auditEvent } from "./record-change.ts";

/** The configuration of a linked account and an integration, with a revision that counts its changes. */
export type AccountSetting = {
  readonly table: "config" | "connection";
  readonly key: { readonly environment_id: string; readonly account_id: string; readonly slug: string };
  readonly values: Readonly<Record<string, string>>;
  readonly columns: readonly string[];
  /** Its name in the audit log. */
  readonly resource: string;
  /**
   * Optimistic locking: one of these revisions alone is replaced. Of an empty list nothing may be there yet; without a list
   * anything is replaced.
   */
  readonly expectedRevisions: readonly number[] | undefined;
};

/** Creates or replaces a setting. Throws RESOURCE_NOT_FOUND, INTEGRATION_NOT_FOUND and ETAG_MISMATCH. */
export async function putAccountSetting<Row extends { readonly revision: number }>(
  db: Kysely<Tables>,
  actor: Actor,
  setting: AccountSetting,
): Promise<Row> {
  const { table, key, columns, resource } = setting;
  const action = sql<"CREATE" | "UPDATE">`case when changed.revision = 1 then 'CREATE' else 'UPDATE' end`;
  try {
    // The account is locked until the end of the statement: nothing is set for it while it is deleted.
    const { rows } = await sql<Row | { readonly revision: null }>`
      with account as (
        select from linked_account where environment_id = ${key.environment_id} and account_id = ${key.account_id}
           and delete_time is null for no key update
      ), changed as (${writeOf(setting)} returning ${names(columns, table)}
      ), audited as ${auditEvent(actor, { from: "changed", action, resource })}
      select changed.* from account left join changed on true`.execute(db);
    const [row] = rows;
    if (row === undefined) {
      throw accountNotFound(key.account_id);
    }
    if (row.revision === null) {
      throw etagMismatch({ resource });
    }
    // A row with a revision is one that was written.
    return row as Row;
  } catch (error) {
    throw brokenConstraint(error) === `${table}_integration` ? integrationNotFound(key.slug) : error;
  }
}

function writeOf({ table, key, values, expectedRevisions }: AccountSetting): RawBuilder<unknown> {
  const next = sql.join([
    ...Object.entries(values).map(([column, value]) => sql`${sql.ref(column)} = ${value}::text`),
    sql`revision = ${sql.ref(`${table}.revision`)} + 1`,
    sql`update_time = now()`,
  ]);
  if (expectedRevisions !== undefined && expectedRevisions.length > 0) {
    return sql`update ${sql.table(table)} set ${next} from account
      where ${isKey(key)} and revision = ${anyOf(expectedRevisions)}`;
  }
  const row = { ...key, ...values };
  const given = sql.join(Object.values(row).map((value) => sql`${value}::text`));
  return sql`insert into ${sql.table(table)} (${names(Object.keys(row))}) select ${given} from account
    on conflict (${names(Object.keys(key))}) do ${expectedRevisions === undefined ? sql`update set ${next}` : sql`nothing`}`;
}

export type Deletion = {
  readonly table: "config" | "connection" | "integration" | "variable";
  readonly key: Readonly<Record<string, string>>;
  /** Its name in the audit log. */
  readonly resource: string;
  readonly notFound: RequestError;
};

/** Deletes a row. Throws `notFound` where there is no such row. */
export async function deleteRecorded(
  db: Kysely<Tables>,
  actor: Actor,
  { table, key, resource, notFound }: Deletion,
): Promise<void> {
  const { rows } = await sql`
    with changed as (delete from ${sql.table(table)} where ${isKey(key)} returning true as is_deleted),
      audited as ${auditEvent(actor, { from: "changed", action: "DELETE", resource })}
    select is_deleted from changed`.execute(db);
  if (rows.length === 0) {
    throw notFound;
  }
}

function isKey(key: Readonly<Record<string, string>>): RawBuilder<unknown> {
  const conditions = Object.entries(key).map(([column, value]) => sql`${sql.ref(column)} = ${value}`);
  return sql.join(conditions, sql` and `);
}

function names(columns: readonly string[], table?: string): RawBuilder<unknown> {
  return sql.join(columns.map((column) => sql.ref(table === undefined ? column : `${table}.${column}`)));
}

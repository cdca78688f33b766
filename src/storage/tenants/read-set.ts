import { type RawBuilder, sql } from "kysely";
import type { StatementInput } from "../postgres/compiled-statement.ts";
import type { InputRow } from "../postgres/input-rows.ts";

/**
 * The read set of a call that was resolved earlier: what it names, and the versions of the rows that were found
 * (optimistic concurrency control, Kung and Robinson 1981). The statement that commits the execution validates it, so that
 * the call needs no statement of its own that finds them again.
 *
 * The version of a row is its system column `xmin`, the transaction that wrote it: every change of the row has another
 * one, whoever makes it. https://www.postgresql.org/docs/current/ddl-system-columns.html
 */
export type ReadSet = {
  readonly environmentId: string;
  /** Either an id or an alias, which may belong to another workflow, or to two, by now. */
  readonly workflowId: string | undefined;
  readonly alias: string | undefined;
  readonly slug: string | undefined;
  readonly accountId: string;
  /** The one workflow that has the name, and its version. */
  readonly workflow: string;
  readonly account: string;
  /** The configuration, where the execution has values of its fields. */
  readonly config: ConfigRead | undefined;
};

/** A configuration that was read, or was not there, and its integration. */
export type ConfigRead = { readonly slug: string; readonly configId: string; readonly version: string };

/** The text of `ReadSet.workflow`. */
export function workflowRead(id: string, version: string): string {
  return `${id} ${version}`;
}

/** The text of `ConfigRead.version`, in a statement that joins both tables. */
export const configVersion = sql<string>`integration.xmin::text || ' ' || coalesce(config.xmin::text, '')`;

const readTypes = {
  environment_id: "text",
  workflow_id: "text",
  alias: "text",
  slug: "text",
  account_id: "text",
  config_slug: "text",
  config_id: "text",
  workflow_read: "text",
  account_read: "text",
  config_read: "text",
} as const;

function toReadRow(read: ReadSet): InputRow<typeof readTypes> {
  return {
    environment_id: read.environmentId,
    workflow_id: read.workflowId ?? null,
    alias: read.alias ?? null,
    slug: read.slug ?? null,
    account_id: read.accountId,
    config_slug: read.config?.slug ?? null,
    config_id: read.config?.configId ?? null,
    workflow_read: read.workflow,
    account_read: read.account,
    config_read: read.config?.version ?? null,
  };
}

/**
 * The condition for the workflow with the id that an input names, if it is not deleted. Spelled so that no partial index of
 * all workflows fits: a statement that is planned once, while there are few workflows, might read through all of them for ever.
 */
export function hasId(input: string): RawBuilder<boolean> {
  return sql`${isOfInput(input)} and workflow.id = ${sql.ref(`${input}.workflow_id`)}
    and coalesce(workflow.delete_time, 'infinity') = 'infinity'`;
}

/** The same by an alias. A deleted workflow has none. */
export function hasAlias(input: string): RawBuilder<boolean> {
  return sql`${isOfInput(input)} and workflow.alias = ${sql.ref(`${input}.alias`)}`;
}

function isOfInput(input: string): RawBuilder<boolean> {
  const [environmentId, slug] = [sql.ref(`${input}.environment_id`), sql.ref(`${input}.slug`)];
  return sql`workflow.environment_id = ${environmentId} and (${slug} is null or workflow.slug = ${slug})`;
}

/**
 * A common table expression `changed` with the numbers, from 1, of the read sets that do not hold any more. Put it first: what
 * the statement writes depends on it. One snapshot has all of it, and it is taken after the call has begun.
 */
export function changedReads<Input>(
  input: StatementInput<Input>,
  readsOf: (input: Input) => Iterable<ReadSet>,
): RawBuilder<unknown> {
  const relied = input.rows("relied", readTypes, (one) => Array.from(readsOf(one), toReadRow));
  return sql`changed as materialized (
    select relied.row from ${relied}
     where relied.workflow_read is distinct from (
         select string_agg(found.id || ' ' || found.version, ',') from (
           select workflow.id, workflow.xmin::text as version from workflow where ${hasId("relied")}
           union all
           select workflow.id, workflow.xmin::text from workflow where ${hasAlias("relied")}
         ) as found
       )
       or relied.account_read is distinct from (
         select linked_account.xmin::text from linked_account
           where linked_account.environment_id = relied.environment_id
             and linked_account.account_id = relied.account_id and linked_account.delete_time is null
       )
       or relied.config_read is distinct from (
         select ${configVersion} from integration left join config
             on config.environment_id = integration.environment_id and config.slug = integration.slug
               and config.account_id = relied.account_id and config.config_id = relied.config_id
           where integration.environment_id = relied.environment_id and integration.slug = relied.config_slug
       )
  )`;
}

/**
 * Whether the call of a row of `given` has to be resolved anew. One without a read set was resolved a moment ago; that its
 * version and its account are of its environment is checked in place of foreign keys, whose checks would cost as much as
 * the insert does. Subqueries for one value, since `exists` may be planned as a scan.
 */
export const isChanged = sql<boolean>`case when given.read_set is not null
  then exists (select from changed where changed.row = given.read_set)
  else (
    select true from workflow_version where workflow_version.environment_id = given.environment_id
      and workflow_version.workflow_id = given.workflow_id and workflow_version.version = given.version
  ) is null or (
    select true from linked_account where linked_account.environment_id = given.environment_id
      and linked_account.account_id = given.linked_account_id
  ) is null end`;

/** Numbers the read sets of a batch: many calls have the same one, and it is validated once. */
export class ReadSets {
  readonly #numbers = new Map<ReadSet, number>();

  /** The number of a read set, from 1; null where there is none. */
  add(read: ReadSet | undefined): number | null {
    if (read === undefined) {
      return null;
    }
    const number = this.#numbers.get(read) ?? this.#numbers.size + 1;
    this.#numbers.set(read, number);
    return number;
  }

  get all(): Iterable<ReadSet> {
    return this.#numbers.keys();
  }
}

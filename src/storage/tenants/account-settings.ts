/** What is set for a linked account: configurations and connections, each for an integration. */
import { type Kysely, type RawBuilder, type SqlBool, sql } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import type { Reach } from "../../domain/principal.ts";
import { isWithin } from "../postgres/access-scope.ts";
import { brokenConstraint } from "../postgres/database-errors.ts";
import type { Tables } from "../postgres/tables.ts";
import { integrationNotFound } from "./integration-store.ts";
import { lockAccount } from "./linked-account-store.ts";
import { putRecorded, type RecordedPut } from "./recorded-writes.ts";

export type AccountSetting<Row> = Omit<RecordedPut<Row>, "prepare" | "isCreated"> & {
  readonly accountId: string;
  readonly slug: string;
  /** The name of the foreign key to its integration. */
  readonly integrationConstraint: string;
};

/** Creates or replaces a setting. Throws RESOURCE_NOT_FOUND, INTEGRATION_NOT_FOUND and ETAG_MISMATCH. */
export async function putAccountSetting<Row extends { readonly revision: number }>(
  db: Kysely<Tables>,
  actor: Actor,
  { accountId, slug, integrationConstraint, ...put }: AccountSetting<Row>,
): Promise<Row> {
  try {
    return await putRecorded(db, actor, {
      ...put,
      prepare: (transaction) => lockAccount(transaction, actor, accountId),
      isCreated: ({ revision }) => revision === 1,
    });
  } catch (error) {
    throw brokenConstraint(error) === integrationConstraint ? integrationNotFound(slug) : error;
  }
}

/** The condition for the settings of an account that the caller may see. */
export function isOfAccount(reach: Reach, accountId: string): RawBuilder<SqlBool> {
  return sql<SqlBool>`environment_id = ${reach.environmentId} and account_id = ${accountId}
    and ${isWithin(reach, { account: "account_id" })}`;
}

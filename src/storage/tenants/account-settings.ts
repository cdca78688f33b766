/**
 * Writes what is set for a linked account: configurations and connections. Both have a revision, a slug of an
 * integration, and an entry in the audit log for each change.
 */
import type { Kysely, Transaction } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import { brokenConstraint } from "../postgres/database-errors.ts";
import type { Tables } from "../postgres/tables.ts";
import { integrationNotFound } from "./integration-store.ts";
import { lockAccount } from "./linked-account-store.ts";
import { changedMeanwhile, type ExpectedWrites, putExpected } from "./optimistic-lock.ts";
import { recordChange } from "./record-change.ts";

export type AccountSetting<Row> = {
  readonly accountId: string;
  readonly slug: string;
  /** Its name in the audit log. */
  readonly resource: string;
  readonly expectedRevisions: readonly number[] | undefined;
  /** The foreign key to its integration. */
  readonly integrationConstraint: string;
  readonly write: (transaction: Transaction<Tables>) => ExpectedWrites<Row>;
};

/** Creates or replaces a setting. Throws RESOURCE_NOT_FOUND, INTEGRATION_NOT_FOUND and ETAG_MISMATCH. */
export async function putAccountSetting<Row extends { readonly revision: number }>(
  db: Kysely<Tables>,
  actor: Actor,
  setting: AccountSetting<Row>,
): Promise<Row> {
  const { accountId, slug, resource, expectedRevisions, integrationConstraint, write } = setting;
  try {
    return await db.transaction().execute(async (transaction) => {
      await lockAccount(transaction, actor, accountId);
      const row = await putExpected(expectedRevisions, write(transaction));
      if (row === undefined) throw changedMeanwhile(resource);
      await recordChange(transaction, actor, { action: row.revision === 1 ? "CREATE" : "UPDATE", resource });
      return row;
    });
  } catch (error) {
    throw brokenConstraint(error) === integrationConstraint ? integrationNotFound(slug) : error;
  }
}

import { type Kysely, sql } from "kysely";
import type { Tables } from "../postgres/tables.ts";
import { invalidAccount, type LinkedAccount, toLinkedAccount } from "../tenants/tenant-store.ts";

/** A draft in the state that is to be tested, and for whom. */
export type DraftTest = {
  readonly environmentId: string;
  readonly workflowId: string;
  readonly revision: number;
  readonly linkedAccountId: string;
};

/** The number that a draft is kept under, and the account that it runs for. */
export type KeptDraft = { readonly version: number; readonly linkedAccount: LinkedAccount };

/** Keeps a draft for its tests: see WorkflowStore.keepDraft. Undefined where the draft is in another state. */
export async function keepDraft(db: Kysely<Tables>, test: DraftTest): Promise<KeptDraft | undefined> {
  const { environmentId, workflowId, revision, linkedAccountId } = test;
  const account = await db
    .selectFrom("linked_account")
    .select(["account_id", "name", "attributes"])
    .where("environment_id", "=", environmentId)
    .where("account_id", "=", linkedAccountId)
    .where("delete_time", "is", null)
    .executeTakeFirst();
  if (account === undefined) throw invalidAccount(linkedAccountId);
  const version = -revision;
  const draft = db
    .selectFrom("workflow")
    .select(["environment_id", "id", sql<number>`${version}::int`.as("version"), "draft_definition"])
    .where("environment_id", "=", environmentId)
    .where("id", "=", workflowId)
    .where("delete_time", "is", null)
    .where("draft_revision", "=", revision);
  const { numInsertedOrUpdatedRows = 0n } = await db
    .insertInto("workflow_version")
    .columns(["environment_id", "workflow_id", "version", "definition"])
    .expression(draft)
    .onConflict((conflict) => conflict.columns(["environment_id", "workflow_id", "version"]).doNothing())
    .executeTakeFirst();
  const isKept = numInsertedOrUpdatedRows > 0n || (await draft.executeTakeFirst()) !== undefined;
  return isKept ? { version, linkedAccount: toLinkedAccount(account) } : undefined;
}

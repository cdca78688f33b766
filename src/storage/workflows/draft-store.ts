import { type Kysely, sql } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import type { AccessScope } from "../../domain/principal.ts";
import type { DraftRecord, SavedDraft, WorkflowReference } from "../../domain/workflow.ts";
import { type DeletedDrafts, type DraftPage, deleteKeptDrafts } from "../executions/execution-retention.ts";
import type { Tables } from "../postgres/tables.ts";
import { invalidAccount, type LinkedAccount, toLinkedAccount } from "../tenants/tenant-store.ts";
import { type Expected, refuseChange, updateExpected, workflowEvent } from "./workflow-changes.ts";
import { isReferenced, onlyReferenced } from "./workflow-reference.ts";

/** A draft with its integration. */
export type FoundDraft = DraftRecord & {
  /** The workflow's integration. */
  readonly slug: string;
  /** The fields that the integration declares: JSON text of an array of FieldDeclaration. */
  readonly applicationFields: string;
};

/** The draft that is to be tested, by its revision, and the account that it runs for. */
export type DraftTest = {
  readonly environmentId: string;
  readonly workflowId: string;
  readonly revision: number;
  readonly linkedAccountId: string;
};

/** The version number that the draft is kept under (its negative revision), and the account that it runs for. */
export type KeptDraft = { readonly version: number; readonly linkedAccount: LinkedAccount };

/** The drafts of workflows: each workflow has one. */
export class DraftStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Throws WORKFLOW_NOT_FOUND, SLUG_REQUIRED. */
  async find(scope: AccessScope, reference: WorkflowReference): Promise<FoundDraft> {
    const rows = await this.#db
      .selectFrom("workflow")
      .innerJoin("integration", (join) =>
        join
          .onRef("integration.environment_id", "=", "workflow.environment_id")
          .onRef("integration.slug", "=", "workflow.slug"),
      )
      .select([
        "workflow.id as workflowId",
        "workflow.slug",
        "workflow.draft_definition as definition",
        "workflow.draft_revision as revision",
        "workflow.draft_update_time as updateTime",
        "integration.fields as applicationFields",
      ])
      .where(isReferenced(scope, reference))
      .limit(2)
      .execute();
    return onlyReferenced(rows, reference);
  }

  /** Replaces the draft if it has an expected revision. Throws WORKFLOW_NOT_FOUND, SLUG_REQUIRED and ETAG_MISMATCH. */
  async save(actor: Actor, { definition, ...draft }: Expected & { readonly definition: string }): Promise<SavedDraft> {
    const saved = await this.#db
      .with("changed", (query) =>
        updateExpected(query, actor, draft, "draft_revision")
          .set({
            draft_definition: definition,
            draft_revision: sql`draft_revision + 1`,
            draft_update_time: sql`now()`,
            update_time: sql`now()`,
          })
          .returning(["id", "draft_revision", "draft_update_time"]),
      )
      .with("audited", () => workflowEvent(actor, "SAVE_DRAFT"))
      .selectFrom("changed")
      .select(["id as workflowId", "draft_revision as revision", "draft_update_time as updateTime"])
      .executeTakeFirst();
    return saved ?? (await refuseChange(this.#db, actor, draft.reference));
  }

  /**
   * Keeps a draft as a version with a negative number, so that its test can be run and shown after the draft is saved anew.
   * Throws INVALID_LINKED_ACCOUNT_ID, WORKFLOW_NOT_FOUND, and ETAG_MISMATCH where the draft has another revision.
   */
  async keep({ environmentId, workflowId, revision, linkedAccountId }: DraftTest): Promise<KeptDraft> {
    const version = -revision;
    const account = await this.#db
      .with("account", (query) =>
        query
          .selectFrom("linked_account")
          .select(["account_id", "name", "attributes"])
          .where("environment_id", "=", environmentId)
          .where("account_id", "=", linkedAccountId)
          .where("delete_time", "is", null),
      )
      .with("draft", (query) =>
        query
          .selectFrom("workflow")
          .select(["environment_id", "id", sql<number>`${version}::int`.as("version"), "draft_definition"])
          .where("environment_id", "=", environmentId)
          .where("id", "=", workflowId)
          .where("delete_time", "is", null)
          .where("draft_revision", "=", revision),
      )
      .with("kept", (query) =>
        query
          .insertInto("workflow_version")
          .columns(["environment_id", "workflow_id", "version", "definition"])
          .expression(
            query
              .selectFrom("draft")
              .select(["environment_id", "id", "version", "draft_definition"])
              .where(({ exists, selectFrom }) => exists(selectFrom("account").select("account_id"))),
          )
          .onConflict((conflict) => conflict.columns(["environment_id", "workflow_id", "version"]).doNothing()),
      )
      .selectFrom("account")
      .select(["account_id", "name", "attributes"])
      .select(({ exists, selectFrom }) => exists(selectFrom("draft").select("id")).as("is_kept"))
      .executeTakeFirst();
    if (account === undefined) {
      throw invalidAccount(linkedAccountId);
    }
    if (account.is_kept) {
      return { version, linkedAccount: toLinkedAccount(account) };
    }
    return await refuseChange(this.#db, { environmentId }, { workflow: workflowId });
  }

  /**
   * Deletes of a page of kept drafts those that no execution ran and that belong to deleted workflows or to drafts that were
   * saved anew since. Returns how many, and where the next page begins.
   */
  async deleteKept(page: DraftPage): Promise<DeletedDrafts> {
    return await deleteKeptDrafts(this.#db, page);
  }
}

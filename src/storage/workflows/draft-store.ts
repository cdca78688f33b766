import { type Kysely, sql } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import type { Reach } from "../../domain/principal.ts";
import type { DraftRecord, SavedDraft, WorkflowReference } from "../../domain/workflow.ts";
import { type DeletedDrafts, type DraftPage, deleteKeptDrafts } from "../executions/execution-retention.ts";
import type { Tables } from "../postgres/tables.ts";
import { invalidAccount, type LinkedAccount, toLinkedAccount } from "../tenants/tenant-store.ts";
import { type Expected, refuseChange, updateExpected, workflowEvent } from "./workflow-changes.ts";
import { isReferenced, onlyReferenced } from "./workflow-reference.ts";

/** A draft with what surrounds it. */
export type FoundDraft = DraftRecord & {
  /** The workflow's integration. */
  readonly slug: string;
  /** What the integration declares: JSON text of an array of FieldDeclaration. */
  readonly applicationFields: string;
};

/** A draft in the state that is to be tested, and for whom. */
export type DraftTest = {
  readonly environmentId: string;
  readonly workflowId: string;
  readonly revision: number;
  readonly linkedAccountId: string;
};

/** The number that a draft is kept under, and the account that it runs for. */
export type KeptDraft = { readonly version: number; readonly linkedAccount: LinkedAccount };

/** The drafts of workflows: each workflow has one. */
export class DraftStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Refuses with WORKFLOW_NOT_FOUND, SLUG_REQUIRED. */
  async find(scope: Reach, reference: WorkflowReference): Promise<FoundDraft> {
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

  /** Replaces the draft, in the revision that is expected of it. Refuses with WORKFLOW_NOT_FOUND, SLUG_REQUIRED, ETAG_MISMATCH. */
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
   * Keeps a draft under a number below the versions', so that it can be tested, also after it is saved anew. Refuses with
   * INVALID_LINKED_ACCOUNT_ID, WORKFLOW_NOT_FOUND, and ETAG_MISMATCH where it is in another state.
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
    if (account === undefined) throw invalidAccount(linkedAccountId);
    if (account.is_kept) return { version, linkedAccount: toLinkedAccount(account) };
    return await refuseChange(this.#db, { environmentId }, { workflow: workflowId });
  }

  /**
   * Deletes of a page of kept drafts, in an order of their own, those that no execution ran, of deleted workflows or of
   * drafts that were saved anew since. Returns how many, and where the next page begins.
   */
  async deleteKept(page: DraftPage): Promise<DeletedDrafts> {
    return await deleteKeptDrafts(this.#db, page);
  }
}

import { type Kysely, sql } from "kysely";
import { turnOf, turnOfTenant } from "../../domain/account.ts";
import type { Actor } from "../../domain/audit.ts";
import type { Reach } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { DraftRecord, VersionRecord, WorkflowRecord, WorkflowReference } from "../../domain/workflow.ts";
import { type DeletedDrafts, type DraftPage, deleteKeptDrafts } from "../executions/execution-retention.ts";
import { anyOf } from "../postgres/any-of.ts";
import type { Page } from "../postgres/page.ts";
import { defaultBatchLimits, StatementBatcher, type StoreOptions } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";
import { type DraftTest, type KeptDraft, keepDraft } from "./draft-snapshot.ts";
import { type CallCandidate, type CallReference, findCalls, type ResolvedCall, resolveCall } from "./resolve-call.ts";
import {
  changeWorkflow,
  createWorkflow,
  deleteWorkflow,
  type NewWorkflow,
  refusalOfNames,
  unpublishWorkflow,
  updateWorkflow,
  type WorkflowUpdate,
} from "./workflow-changes.ts";
import { type ListedWorkflows, listWorkflows, type WorkflowPage } from "./workflow-list.ts";
import { isReferenced, onlyReferenced, wasReferenced, workflowNotFound } from "./workflow-reference.ts";
import { type Expected, recordColumns, toWorkflowRecord } from "./workflow-rows.ts";
import {
  type ListedVersions,
  listVersions,
  loadVersions,
  type Publication,
  publishVersion,
  type VersionPlace,
} from "./workflow-versions.ts";

/** What is reckoned for a definition before it is read. */
const definitionChars = 64 * 1024;

/**
 * What may run: workflows with their drafts and published versions.
 *
 * A deleted workflow is found by nothing but `findEver`; its versions stay, for the executions that ran them.
 */
export class WorkflowStore {
  readonly #db: Kysely<Tables>;
  readonly #findCall: StatementBatcher<CallReference, readonly CallCandidate[]>;
  readonly #loadVersion: StatementBatcher<VersionPlace, string | undefined>;

  constructor(db: Kysely<Tables>, { callsDb = db, batchLimits = defaultBatchLimits }: StoreOptions = {}) {
    this.#db = callsDb;
    this.#findCall = new StatementBatcher({
      limits: batchLimits,
      send: (calls) => findCalls(db, calls),
      turnOf: (call) => turnOf(call),
    });
    this.#loadVersion = new StatementBatcher({
      limits: batchLimits,
      send: (versions) => loadVersions(db, versions),
      turnOf: (version) => turnOfTenant(version),
      charsOf: () => definitionChars,
    });
  }

  /** Creates a workflow with an empty draft. Refuses with ALIAS_TAKEN, INTEGRATION_NOT_FOUND. */
  async create(actor: Actor, workflow: NewWorkflow): Promise<WorkflowRecord> {
    try {
      return await createWorkflow(this.#db, actor, workflow);
    } catch (error) {
      throw refusalOfNames(error, workflow);
    }
  }

  /** Refuses with WORKFLOW_NOT_FOUND, SLUG_REQUIRED. */
  async find(reach: Reach, reference: WorkflowReference): Promise<WorkflowRecord> {
    return await this.#find(isReferenced(reach, reference), reference);
  }

  /** The same for who looks back: a deleted workflow is found by its id. */
  async findEver(reach: Reach, reference: WorkflowReference): Promise<WorkflowRecord> {
    return await this.#find(wasReferenced(reach, reference), reference);
  }

  /** Newest first. What a page costs does not depend on how many there are. Refuses with VALIDATION_ERROR a token that no page gave. */
  async list(reach: Reach, page: WorkflowPage): Promise<ListedWorkflows> {
    return await listWorkflows(this.#db, reach, page);
  }

  /** Refuses with WORKFLOW_NOT_FOUND, ETAG_MISMATCH, ALIAS_TAKEN. */
  async update(actor: Actor, update: WorkflowUpdate & { readonly slug: string }): Promise<WorkflowRecord> {
    try {
      const updated = await updateWorkflow(this.#db, actor, update);
      return updated ?? (await this.#refuse(actor, update));
    } catch (error) {
      throw refusalOfNames(error, update);
    }
  }

  /** Lets no call run it. Its versions stay. Refuses with WORKFLOW_NOT_FOUND, ETAG_MISMATCH, WORKFLOW_NOT_PUBLISHED. */
  async unpublish(actor: Actor, workflow: Expected): Promise<WorkflowRecord> {
    const unpublished = await unpublishWorkflow(this.#db, actor, workflow);
    if (unpublished !== undefined) return unpublished;
    const { environmentId } = actor;
    const { id, currentVersion } = await this.find({ environmentId }, { workflow: workflow.workflowId });
    if (currentVersion !== undefined) return await this.#refuse(actor, workflow);
    throw new RequestError("WORKFLOW_NOT_PUBLISHED", "The workflow is not published.", { metadata: { workflow: id } });
  }

  /** Deletes it for calls and lists, and frees its alias. Refuses with WORKFLOW_NOT_FOUND, ETAG_MISMATCH. */
  async delete(actor: Actor, workflow: Expected): Promise<void> {
    if (!(await deleteWorkflow(this.#db, actor, workflow))) await this.#refuse(actor, workflow);
  }

  /** Refuses with WORKFLOW_NOT_FOUND. */
  async getDraft(environmentId: string, workflowId: string): Promise<DraftRecord> {
    const row = await this.#db
      .selectFrom("workflow")
      .select(["draft_definition", "draft_revision", "draft_update_time"])
      .where(isReferenced({ environmentId }, { workflow: workflowId }))
      .executeTakeFirst();
    if (row === undefined) {
      throw workflowNotFound({ workflow: workflowId });
    }
    return {
      workflowId,
      definition: row.draft_definition,
      revision: row.draft_revision,
      updateTime: row.draft_update_time,
    };
  }

  /** Replaces the draft, in the revision that is expected of it. Refuses with WORKFLOW_NOT_FOUND, ETAG_MISMATCH. */
  async saveDraft(actor: Actor, draft: Expected & { readonly definition: string }): Promise<DraftRecord> {
    const { workflowId, definition, expectedRevisions } = draft;
    const row = await changeWorkflow(this.#db, actor, {
      action: "SAVE_DRAFT",
      workflowId,
      change: (transaction) =>
        transaction
          .updateTable("workflow")
          .set({
            draft_definition: definition,
            draft_revision: sql`draft_revision + 1`,
            draft_update_time: sql`now()`,
            update_time: sql`now()`,
          })
          .where(isReferenced({ environmentId: actor.environmentId }, { workflow: workflowId }))
          .$if(expectedRevisions !== undefined, (update) =>
            update.where("draft_revision", "=", anyOf(expectedRevisions ?? [])),
          )
          .returning(["draft_revision", "draft_update_time"])
          .executeTakeFirst(),
    });
    if (row === undefined) return await this.#refuse(actor, draft);
    return { workflowId, definition, revision: row.draft_revision, updateTime: row.draft_update_time };
  }

  /**
   * Makes a definition the next version and the one that calls run; answers its number. Refuses with ETAG_MISMATCH when
   * the draft that it was compiled from, or the workflow that is expected, was changed since; WORKFLOW_NOT_FOUND.
   */
  async publish(actor: Actor, publication: Publication): Promise<number> {
    return (await publishVersion(this.#db, actor, publication)) ?? (await this.#refuse(actor, publication));
  }

  /**
   * Keeps a draft so that it can be tested, also after it is saved anew; `getVersion` answers it by the number that this
   * gives. Refuses with INVALID_LINKED_ACCOUNT_ID, WORKFLOW_NOT_FOUND, and ETAG_MISMATCH where it is in another state.
   */
  async keepDraft(test: DraftTest): Promise<KeptDraft> {
    return (await keepDraft(this.#db, test)) ?? (await this.#refuse(test, test));
  }

  /**
   * Deletes of a page of kept drafts, in an order of their own, those that no execution ran, of deleted workflows or of
   * drafts that were saved anew since. Answers how many, and where the next page begins.
   */
  async deleteKeptDrafts(page: DraftPage): Promise<DeletedDrafts> {
    return await deleteKeptDrafts(this.#db, page);
  }

  /** The published versions without their definitions, newest first. Refuses with VALIDATION_ERROR a token of another list. */
  async listVersions(environmentId: string, workflowId: string, page: Page): Promise<ListedVersions> {
    return await listVersions(this.#db, { environmentId, workflowId }, page);
  }

  /** The definition of a published version. */
  async getVersion(environmentId: string, workflowId: string, version: number): Promise<string | undefined> {
    return (await this.findVersion(environmentId, workflowId, version))?.definition;
  }

  /** The same to run it: together with others, and by turns. */
  async loadVersion(version: VersionPlace): Promise<string | undefined> {
    return await this.#loadVersion.call(version);
  }

  /** A published version with its definition. */
  async findVersion(
    environmentId: string,
    workflowId: string,
    version: number,
  ): Promise<(VersionRecord & { readonly definition: string }) | undefined> {
    return await this.#db
      .selectFrom("workflow_version")
      .select(["version", "definition", "create_time as createTime"])
      .where("environment_id", "=", environmentId)
      .where("workflow_id", "=", workflowId)
      .where("version", "=", version)
      .executeTakeFirst();
  }

  /**
   * Finds all that a call names, or refuses with what is wrong first: WORKFLOW_NOT_FOUND or SLUG_REQUIRED,
   * INVALID_LINKED_ACCOUNT_ID, WORKFLOW_NOT_PUBLISHED, WORKFLOW_VERSION_NOT_FOUND.
   */
  async resolveCall(call: CallReference): Promise<ResolvedCall> {
    return resolveCall(call, await this.#findCall.call(call));
  }

  async #find(condition: ReturnType<typeof isReferenced>, reference: WorkflowReference): Promise<WorkflowRecord> {
    const rows = await this.#db.selectFrom("workflow").select(recordColumns).where(condition).limit(2).execute();
    return toWorkflowRecord(onlyReferenced(rows, reference));
  }

  /** Refuses a change that moved no row: the workflow is gone, or in another state than was expected. */
  async #refuse({ environmentId }: Reach, { workflowId }: Expected): Promise<never> {
    const workflow = { workflow: workflowId };
    await this.find({ environmentId }, workflow);
    const message = "It was changed by somebody else in between: read it again and repeat the change on it.";
    throw new RequestError("ETAG_MISMATCH", message, { metadata: workflow });
  }
}

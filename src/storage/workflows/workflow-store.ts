// Workflows, with their drafts (`draft-store.ts`) and their published versions (`version-store.ts`).
//
// A reference names a workflow by its id or its alias. A change is one statement with the reference, the expected revision
// and the audit event, so that change and event commit together in one round trip. Where no row changed, a second statement
// finds out why. Only `findEver` finds a deleted workflow; its versions stay for the executions that ran them.

import { type Kysely, sql } from "kysely";
import { turnOf } from "../../domain/account.ts";
import type { Actor } from "../../domain/audit.ts";
import { etagMismatch } from "../../domain/http/etag-mismatch.ts";
import { newId } from "../../domain/id.ts";
import type { AccessScope } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { DefinedWorkflow, WorkflowRecord, WorkflowReference } from "../../domain/workflow.ts";
import { isWithin } from "../postgres/access-scope.ts";
import { brokenConstraint } from "../postgres/database-errors.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { pageTokenOf, parsePageToken } from "../postgres/page-token.ts";
import { defaultBatchLimits, StatementBatcher, type StoreOptions } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";
import { integrationNotFound } from "../tenants/integration-not-found.ts";
import { findWorkflows } from "./find-workflows.ts";
import { type CallCandidate, type CallReference, findCalls, type ResolvedCall, resolveCall } from "./resolve-call.ts";
import { type Expected, findWorkflow, refuseChange, updateExpected, workflowEvent } from "./workflow-changes.ts";
import { isReferenced, onlyReferenced, wasReferenced } from "./workflow-reference.ts";
import { changed, recordColumns, toWorkflowRecord } from "./workflow-rows.ts";

export type NewWorkflow = {
  readonly slug: string;
  readonly name: string;
  readonly description?: string;
  readonly alias?: string;
  /** The definition of its draft; an empty one if absent. */
  readonly definition?: string;
};

/** The new values of a workflow; absent ones stay. An empty text removes a description or an alias. */
export type WorkflowUpdate = Expected & Partial<Omit<NewWorkflow, "slug" | "definition">>;

export type WorkflowPage = Page & { readonly slug?: string };

export type ListedWorkflows = {
  readonly workflows: readonly WorkflowRecord[];
  /** Absent on the last page. */
  readonly nextPageToken?: string;
};

export class WorkflowStore {
  readonly #db: Kysely<Tables>;
  readonly #findCall: StatementBatcher<CallReference, readonly CallCandidate[]>;

  constructor(db: Kysely<Tables>, { callsDb = db, batchLimits = defaultBatchLimits }: StoreOptions = {}) {
    this.#db = callsDb;
    this.#findCall = new StatementBatcher({
      name: "find_call",
      limits: batchLimits,
      send: findCalls(db),
      turnOf: (call) => turnOf(call),
    });
  }

  /** Creates a workflow with its draft. Throws ALIAS_TAKEN, INTEGRATION_NOT_FOUND. */
  async create(actor: Actor, { slug, name, description, alias, definition }: NewWorkflow): Promise<WorkflowRecord> {
    // As the first save makes it: the draft that was never saved has the revision 0.
    const draft = definition === undefined ? {} : { draft_definition: definition, draft_revision: 1 };
    const names = { environment_id: actor.environmentId, id: newId(), slug, name, ...draft };
    try {
      const row = await this.#db
        .with("changed", (query) =>
          query
            .insertInto("workflow")
            .values({ ...names, description: description ?? null, alias: alias ?? null })
            .returning(recordColumns),
        )
        .with("audited", () => workflowEvent(actor, "CREATE"))
        .selectFrom("changed")
        .selectAll()
        .executeTakeFirstOrThrow();
      return toWorkflowRecord(row);
    } catch (error) {
      if (isAliasTaken(error)) {
        throw aliasTaken(slug, alias);
      }
      throw brokenConstraint(error) === "workflow_integration" ? integrationNotFound(slug) : error;
    }
  }

  /** Throws WORKFLOW_NOT_FOUND, SLUG_REQUIRED. */
  async find(scope: AccessScope, reference: WorkflowReference): Promise<WorkflowRecord> {
    return await findWorkflow(this.#db, isReferenced(scope, reference), reference);
  }

  /** As `find`, and finds a deleted workflow by its id. */
  async findEver(scope: AccessScope, reference: WorkflowReference): Promise<WorkflowRecord> {
    return await findWorkflow(this.#db, wasReferenced(scope, reference), reference);
  }

  /** As `find`, for many references in one statement. A reference that names no workflow gives its refusal. */
  async findMany(
    scope: AccessScope,
    references: readonly WorkflowReference[],
  ): Promise<readonly (WorkflowRecord | RequestError)[]> {
    return await findWorkflows(this.#db, scope, references);
  }

  /** Finds a workflow with the definition that calls run, or its draft. Throws WORKFLOW_NOT_FOUND, SLUG_REQUIRED. */
  async findDefined(scope: AccessScope, reference: WorkflowReference): Promise<DefinedWorkflow> {
    const rows = await this.#db
      .selectFrom("workflow")
      .leftJoin("workflow_version as version", (join) =>
        join
          .onRef("version.environment_id", "=", "workflow.environment_id")
          .onRef("version.workflow_id", "=", "workflow.id")
          .onRef("version.version", "=", "workflow.current_version"),
      )
      .select(recordColumns.map((column) => `workflow.${column}` as const))
      .select(sql<string>`coalesce(version.definition, workflow.draft_definition)`.as("definition"))
      .where(isReferenced(scope, reference))
      .limit(2)
      .execute();
    const row = onlyReferenced(rows, reference);
    return { ...toWorkflowRecord(row), definition: row.definition };
  }

  /** Newest first; the cost of a page does not depend on the length of the list. Throws VALIDATION_ERROR for a bad token. */
  async list(scope: AccessScope, { slug, ...asked }: WorkflowPage): Promise<ListedWorkflows> {
    const { environmentId } = scope;
    const filters = { of: "workflow", environmentId, slug };
    const after = asked.pageToken === undefined ? undefined : parsePageToken(asked.pageToken, filters);
    const rows = await this.#db
      .selectFrom("workflow")
      .select(recordColumns)
      .where((row) =>
        row.and([
          row("delete_time", "is", null),
          isWithin(scope, { workflow: "id" }),
          slug === undefined
            ? row("environment_id", "=", environmentId)
            : // Spelled as the expression index has it.
              row(sql<string>`(environment_id || '/' || slug)`, "=", `${environmentId}/${slug}`),
          ...(after === undefined
            ? []
            : [row(row.refTuple("create_time", "id"), "<", row.tuple(after.createTime, after.id))]),
        ]),
      )
      .orderBy("create_time", "desc")
      .orderBy("id", "desc")
      .limit(asked.pageSize + 1)
      .execute();
    const { page, next } = cutPage(rows.map(toWorkflowRecord), asked, (last) => pageTokenOf(last, filters));
    return { workflows: page, ...next };
  }

  /** Throws WORKFLOW_NOT_FOUND, SLUG_REQUIRED, ETAG_MISMATCH, ALIAS_TAKEN. */
  async update(actor: Actor, { name, description, alias, ...workflow }: WorkflowUpdate): Promise<DefinedWorkflow> {
    const { reference } = workflow;
    const set = {
      ...changed,
      ...(name !== undefined && { name }),
      ...(description !== undefined && { description: description || null }),
      ...(alias !== undefined && { alias: alias || null }),
    };
    try {
      const row = await this.#db
        .with("changed", (query) =>
          updateExpected(query, actor, workflow)
            .set(set)
            .returning([...recordColumns, "environment_id", draftOfUnpublished]),
        )
        .with("audited", () => workflowEvent(actor, "UPDATE"))
        .selectFrom("changed")
        .leftJoin("workflow_version as version", (join) =>
          join
            .onRef("version.environment_id", "=", "changed.environment_id")
            .onRef("version.workflow_id", "=", "changed.id")
            .onRef("version.version", "=", "changed.current_version"),
        )
        .select(recordColumns.map((column) => `changed.${column}` as const))
        .select(sql<string | null>`coalesce(version.definition, changed.draft)`.as("definition"))
        .executeTakeFirst();
      if (row === undefined) {
        return await refuseChange(this.#db, actor, reference);
      }
      // A version that was published while this waited for the lock is newer than the snapshot of the statement.
      if (row.definition === null) {
        return await this.findDefined(actor, { workflow: row.id });
      }
      return { ...toWorkflowRecord(row), definition: row.definition };
    } catch (error) {
      if (!isAliasTaken(error)) {
        throw error;
      }
      const { slug } = await this.find(actor, reference);
      throw aliasTaken(slug, alias);
    }
  }

  /** Calls cannot run the workflow any more; its versions stay. Throws WORKFLOW_NOT_FOUND, ETAG_MISMATCH, WORKFLOW_NOT_PUBLISHED. */
  async unpublish(actor: Actor, workflow: Expected): Promise<DefinedWorkflow> {
    const row = await this.#db
      .with("changed", (query) =>
        updateExpected(query, actor, workflow)
          .set({ ...changed, current_version: null })
          .where("current_version", "is not", null)
          .returning([...recordColumns, "draft_definition as definition"]),
      )
      .with("audited", () => workflowEvent(actor, "UNPUBLISH"))
      .selectFrom("changed")
      .selectAll()
      .executeTakeFirst();
    if (row !== undefined) {
      return { ...toWorkflowRecord(row), definition: row.definition };
    }
    const { id, currentVersion } = await this.find(actor, workflow.reference);
    if (currentVersion !== undefined) {
      throw etagMismatch({ workflow: id });
    }
    const message = `The workflow "${id}" is not published. Publish it first.`;
    throw new RequestError("WORKFLOW_NOT_PUBLISHED", message, { metadata: { workflow: id } });
  }

  /** Deletes a workflow for calls and lists, and frees its alias. Throws WORKFLOW_NOT_FOUND, ETAG_MISMATCH. */
  async delete(actor: Actor, workflow: Expected): Promise<void> {
    const row = await this.#db
      .with("changed", (query) =>
        updateExpected(query, actor, workflow)
          .set({ ...changed, alias: null, current_version: null, delete_time: sql`now()` })
          .returning("id"),
      )
      .with("audited", () => workflowEvent(actor, "DELETE"))
      .selectFrom("changed")
      .select("id")
      .executeTakeFirst();
    if (row === undefined) {
      await refuseChange(this.#db, actor, workflow.reference);
    }
  }

  /**
   * Finds all that a call names, by one batched statement. Throws the first of WORKFLOW_NOT_FOUND or SLUG_REQUIRED,
   * INVALID_LINKED_ACCOUNT_ID, WORKFLOW_NOT_PUBLISHED and WORKFLOW_VERSION_NOT_FOUND.
   */
  async resolveCall(call: CallReference): Promise<ResolvedCall> {
    return resolveCall(call, await this.#findCall.call(call));
  }
}

/** Null where a version is published, which is shown then: the draft may be large. */
const draftOfUnpublished = sql<string | null>`case when current_version is null then draft_definition end`.as("draft");

function isAliasTaken(error: unknown): boolean {
  return brokenConstraint(error) === "workflow_alias_taken";
}

function aliasTaken(slug: string, alias: string | undefined): RequestError {
  const message = `The integration "${slug}" already has a workflow with the alias "${alias}".`;
  return new RequestError("ALIAS_TAKEN", message, { metadata: { slug, alias: alias ?? "" } });
}

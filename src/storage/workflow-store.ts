import { type Kysely, type Selectable, sql } from "kysely";
import { newId } from "../domain/id.ts";
import type { Reach } from "../domain/principal.ts";
import { RequestError } from "../domain/request-error.ts";
import type { DraftRecord, WorkflowRecord, WorkflowReference } from "../domain/workflow.ts";
import { brokenConstraint } from "./faults.ts";
import { pageTokenOf, parsePageToken } from "./page-token.ts";
import { isWithin } from "./reach.ts";
import { type CallCandidate, type CallReference, findCalls, type ResolvedCall, resolveCall } from "./resolve-call.ts";
import { defaultSharing, SharedStatement } from "./shared-statement.ts";
import type { Tables } from "./tables.ts";
import { isReferenced, onlyReferenced, workflowNotFound } from "./workflow-reference.ts";

export type NewWorkflow = {
  readonly slug: string;
  readonly name: string;
  readonly description?: string;
  readonly alias?: string;
};

type WorkflowRow = Pick<Selectable<Tables["workflow"]>, (typeof recordColumns)[number]>;

const recordColumns = [
  "id",
  "slug",
  "name",
  "description",
  "alias",
  "current_version",
  "create_time",
  "update_time",
] as const;

/** What may run: workflows with their drafts and published versions. */
export class WorkflowStore {
  readonly #db: Kysely<Tables>;
  readonly #findCall: SharedStatement<CallReference, readonly CallCandidate[]>;

  constructor(db: Kysely<Tables>, sharing = defaultSharing) {
    this.#db = db;
    this.#findCall = new SharedStatement({ sharing, send: (calls) => findCalls(db, calls) });
  }

  /** Creates a workflow with an empty draft. Refuses with ALIAS_TAKEN, INTEGRATION_NOT_FOUND. */
  async create(environmentId: string, { slug, name, description, alias }: NewWorkflow): Promise<WorkflowRecord> {
    try {
      const row = await this.#db
        .insertInto("workflow")
        .values({
          environment_id: environmentId,
          id: newId(),
          slug,
          name,
          description: description ?? null,
          alias: alias ?? null,
        })
        .returning(recordColumns)
        .executeTakeFirstOrThrow();
      return toWorkflowRecord(row);
    } catch (error) {
      const constraint = brokenConstraint(error);
      if (constraint === "workflow_alias_taken" && alias !== undefined) {
        const message = `the integration "${slug}" already has a workflow with the alias "${alias}"`;
        throw new RequestError("ALIAS_TAKEN", message, { metadata: { alias, slug } });
      }
      if (constraint === "workflow_integration") {
        throw new RequestError("INTEGRATION_NOT_FOUND", `there is no integration "${slug}"`, { metadata: { slug } });
      }
      throw error;
    }
  }

  /** Refuses with WORKFLOW_NOT_FOUND, SLUG_REQUIRED. */
  async find(reach: Reach, reference: WorkflowReference): Promise<WorkflowRecord> {
    const rows = await this.#db
      .selectFrom("workflow")
      .select(recordColumns)
      .where(isReferenced(reach, reference))
      .limit(2)
      .execute();
    return toWorkflowRecord(onlyReferenced(rows, reference));
  }

  /** Newest first. Refuses with VALIDATION_ERROR a token that no page gave. */
  async list(
    reach: Reach,
    page: { readonly slug?: string; readonly pageSize: number; readonly pageToken?: string },
  ): Promise<{ readonly workflows: readonly WorkflowRecord[]; readonly nextPageToken?: string }> {
    const { environmentId } = reach;
    const filters = { environmentId, slug: page.slug };
    let query = this.#db
      .selectFrom("workflow")
      .select(recordColumns)
      .where("environment_id", "=", environmentId)
      .where(isWithin(reach, { workflow: "id" }))
      .orderBy("create_time", "desc")
      .orderBy("id", "desc")
      .limit(page.pageSize + 1);
    if (page.slug !== undefined) {
      query = query.where("slug", "=", page.slug);
    }
    if (page.pageToken !== undefined) {
      const { createTime, id } = parsePageToken(page.pageToken, filters);
      query = query.where(({ eb, refTuple, tuple }) => eb(refTuple("create_time", "id"), "<", tuple(createTime, id)));
    }
    const rows = await query.execute();
    const workflows = rows.slice(0, page.pageSize).map(toWorkflowRecord);
    const last = workflows.at(-1);
    return {
      workflows,
      ...(rows.length > page.pageSize && last !== undefined && { nextPageToken: pageTokenOf(last, filters) }),
    };
  }

  /** Refuses with WORKFLOW_NOT_FOUND. */
  async getDraft(environmentId: string, workflowId: string): Promise<DraftRecord> {
    const row = await this.#db
      .selectFrom("workflow")
      .select(["draft_definition", "draft_revision", "draft_update_time"])
      .where("environment_id", "=", environmentId)
      .where("id", "=", workflowId)
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

  /** Replaces the draft. Refuses with WORKFLOW_NOT_FOUND, and where a revision is expected with ETAG_MISMATCH. */
  async saveDraft(draft: {
    readonly environmentId: string;
    readonly workflowId: string;
    readonly definition: string;
    readonly expectedRevision?: number;
  }): Promise<DraftRecord> {
    const { environmentId, workflowId, definition, expectedRevision } = draft;
    let update = this.#db
      .updateTable("workflow")
      .set({
        draft_definition: definition,
        draft_revision: sql`draft_revision + 1`,
        draft_update_time: sql`now()`,
        update_time: sql`now()`,
      })
      .where("environment_id", "=", environmentId)
      .where("id", "=", workflowId);
    if (expectedRevision !== undefined) {
      update = update.where("draft_revision", "=", expectedRevision);
    }
    const row = await update.returning(["draft_revision", "draft_update_time"]).executeTakeFirst();
    if (row === undefined) {
      throw await this.#changedSince(environmentId, workflowId);
    }
    return { workflowId, definition, revision: row.draft_revision, updateTime: row.draft_update_time };
  }

  /**
   * Makes a definition, compiled from the draft's `revision`, the next version and the one that calls run; answers its
   * number. Refuses with ETAG_MISMATCH when the draft was saved since, WORKFLOW_NOT_FOUND.
   */
  async publish(publication: {
    readonly environmentId: string;
    readonly workflowId: string;
    readonly definition: string;
    readonly revision: number;
  }): Promise<number> {
    const { environmentId, workflowId, definition, revision } = publication;
    const row = await this.#db
      .with("published", (query) =>
        query
          .updateTable("workflow")
          // Counted on the row itself: of two that publish at once the second waits here and counts on.
          .set({
            latest_version: sql`latest_version + 1`,
            current_version: sql`latest_version + 1`,
            update_time: sql`now()`,
          })
          .where("environment_id", "=", environmentId)
          .where("id", "=", workflowId)
          .where("draft_revision", "=", revision)
          .returning(["environment_id", "id", "latest_version"]),
      )
      .insertInto("workflow_version")
      .columns(["environment_id", "workflow_id", "version", "definition"])
      .expression((query) =>
        query
          .selectFrom("published")
          .select(["environment_id", "id", "latest_version", sql<string>`${definition}::text`.as("definition")]),
      )
      .returning("version")
      .executeTakeFirst();
    if (row === undefined) {
      throw await this.#changedSince(environmentId, workflowId);
    }
    return row.version;
  }

  /** The definition of a published version. */
  async getVersion(environmentId: string, workflowId: string, version: number): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom("workflow_version")
      .select("definition")
      .where("environment_id", "=", environmentId)
      .where("workflow_id", "=", workflowId)
      .where("version", "=", version)
      .executeTakeFirst();
    return row?.definition;
  }

  /**
   * Finds all that a call names, or refuses with what is wrong first: WORKFLOW_NOT_FOUND or SLUG_REQUIRED,
   * INVALID_LINKED_ACCOUNT_ID, WORKFLOW_NOT_PUBLISHED, WORKFLOW_VERSION_NOT_FOUND.
   */
  async resolveCall(call: CallReference): Promise<ResolvedCall> {
    return resolveCall(call, await this.#findCall.call(call));
  }

  /** Why an update of a draft's revision moved no row. */
  async #changedSince(environmentId: string, workflowId: string): Promise<RequestError> {
    await this.getDraft(environmentId, workflowId);
    const message = "the draft was saved by somebody else in between: read it again and repeat the change on it";
    return new RequestError("ETAG_MISMATCH", message, { metadata: { workflow: workflowId } });
  }
}

function toWorkflowRecord(row: WorkflowRow): WorkflowRecord {
  return {
    id: row.id,
    slug: row.slug,
    name: row.name,
    ...(row.description !== null && { description: row.description }),
    ...(row.alias !== null && { alias: row.alias }),
    ...(row.current_version !== null && { currentVersion: row.current_version }),
    createTime: row.create_time,
    updateTime: row.update_time,
  };
}

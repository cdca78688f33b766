import { type Kysely, sql } from "kysely";
import { type Tenant, turnOfTenant } from "../../domain/account.ts";
import type { Actor } from "../../domain/audit.ts";
import type { AccessScope } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { VersionRecord, WorkflowRecord, WorkflowReference } from "../../domain/workflow.ts";
import { byInputRow, inputRows } from "../postgres/input-rows.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { parseVersionToken, versionTokenOf } from "../postgres/page-token.ts";
import { defaultBatchLimits, StatementBatcher, type StoreOptions } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";
import { type Expected, refuseChange, updateExpected, workflowEvent } from "./workflow-changes.ts";
import { isReferenced, onlyReferenced } from "./workflow-reference.ts";
import { changed, recordColumns, toWorkflowRecord } from "./workflow-rows.ts";

/** The key of a version, with its organisation. */
export type VersionPlace = Tenant & { readonly workflowId: string; readonly version: number };

/** A version with its workflow and its integration's fields. */
export type FoundVersion = {
  readonly workflow: WorkflowRecord;
  readonly version: VersionRecord;
  readonly definition: string;
  /** The fields that the workflow's integration declares: JSON text of an array of FieldDeclaration. */
  readonly applicationFields: string;
};

export type ListedVersions = {
  readonly versions: readonly VersionRecord[];
  /** Absent on the last page. */
  readonly nextPageToken?: string;
};

/** The assumed size of a definition before it is read. */
const definitionChars = 64 * 1024;

const placeTypes = { environment_id: "text", workflow_id: "text", version: "int" } as const;

/** Published versions, and drafts that are kept for their tests under negative numbers. They are immutable. */
export class VersionStore {
  readonly #db: Kysely<Tables>;
  readonly #load: StatementBatcher<VersionPlace, string | undefined>;

  constructor(db: Kysely<Tables>, { callsDb = db, batchLimits = defaultBatchLimits }: StoreOptions = {}) {
    this.#db = callsDb;
    this.#load = new StatementBatcher({
      name: "load_version",
      limits: batchLimits,
      send: (versions) => loadVersions(db, versions),
      turnOf: (version) => turnOfTenant(version),
      charsOf: () => definitionChars,
    });
  }

  /** Reads the definition of a version, batched with others. */
  async load(version: VersionPlace): Promise<string | undefined> {
    return await this.#load.call(version);
  }

  /** Throws WORKFLOW_NOT_FOUND, SLUG_REQUIRED, WORKFLOW_VERSION_NOT_FOUND. */
  async find(scope: AccessScope, reference: WorkflowReference, number: number): Promise<FoundVersion> {
    const rows = await this.#db
      .selectFrom("workflow")
      .innerJoin("integration", (join) =>
        join
          .onRef("integration.environment_id", "=", "workflow.environment_id")
          .onRef("integration.slug", "=", "workflow.slug"),
      )
      .leftJoin("workflow_version as version", (join) =>
        join
          .onRef("version.environment_id", "=", "workflow.environment_id")
          .onRef("version.workflow_id", "=", "workflow.id")
          .on("version.version", "=", number),
      )
      .select(recordColumns.map((column) => `workflow.${column}` as const))
      .select(["version.definition", "version.create_time as version_time", "integration.fields"])
      .where(isReferenced(scope, reference))
      .limit(2)
      .execute();
    const { definition, version_time, fields, ...row } = onlyReferenced(rows, reference);
    if (definition === null || version_time === null) {
      throw versionNotFound(row.id, number);
    }
    const version = { version: number, createTime: version_time };
    return { workflow: toWorkflowRecord(row), version, definition, applicationFields: fields };
  }

  /** The published versions, newest first. Throws VALIDATION_ERROR for a bad page token. */
  async list(environmentId: string, workflowId: string, asked: Page): Promise<ListedVersions> {
    const filters = { of: "version", environmentId, workflowId };
    const before = asked.pageToken === undefined ? undefined : parseVersionToken(asked.pageToken, filters);
    const rows = await this.#db
      .selectFrom("workflow_version")
      .select(["version", "create_time as createTime"])
      .where("environment_id", "=", environmentId)
      .where("workflow_id", "=", workflowId)
      .where("version", ">", 0)
      .$if(before !== undefined, (query) => query.where("version", "<", before ?? 0))
      .orderBy("version", "desc")
      .limit(asked.pageSize + 1)
      .execute();
    const { page, next } = cutPage(rows, asked, ({ version }) => versionTokenOf(version, filters));
    return { versions: page, ...next };
  }

  /**
   * Makes a draft the next version, which calls run from now on; returns its number. Throws WORKFLOW_NOT_FOUND, and
   * ETAG_MISMATCH where the draft has another revision.
   */
  async publish(
    actor: Actor,
    { workflowId, revision }: { readonly workflowId: string; readonly revision: number },
  ): Promise<number> {
    const reference = { workflow: workflowId };
    const row = await this.#db
      .with("changed", (query) =>
        updateExpected(query, actor, { reference, expectedRevisions: [revision] }, "draft_revision")
          .set(nextVersion)
          .returning(["environment_id", "id", "latest_version", "draft_definition as definition"]),
      )
      .with("published", (query) =>
        query
          .insertInto("workflow_version")
          .columns(["environment_id", "workflow_id", "version", "definition"])
          .expression(query.selectFrom("changed").select(["environment_id", "id", "latest_version", "definition"])),
      )
      .with("audited", () => workflowEvent(actor, "PUBLISH"))
      .selectFrom("changed")
      .select("latest_version")
      .executeTakeFirst();
    return row?.latest_version ?? (await refuseChange(this.#db, actor, reference));
  }

  /**
   * Makes the definition of an earlier version the next version, which calls run from now on; returns its number. Throws
   * WORKFLOW_NOT_FOUND and ETAG_MISMATCH.
   */
  async restore(actor: Actor, { version, ...workflow }: Expected & { readonly version: number }): Promise<number> {
    const row = await this.#db
      .with("changed", (query) =>
        updateExpected(query, actor, workflow).set(nextVersion).returning(["environment_id", "id", "latest_version"]),
      )
      .with("published", (query) =>
        query
          .insertInto("workflow_version")
          .columns(["environment_id", "workflow_id", "version", "definition"])
          .expression(
            query
              .selectFrom("changed")
              .innerJoin("workflow_version as earlier", (join) =>
                join
                  .onRef("earlier.environment_id", "=", "changed.environment_id")
                  .onRef("earlier.workflow_id", "=", "changed.id")
                  .on("earlier.version", "=", version),
              )
              .select(["changed.environment_id", "changed.id", "changed.latest_version", "earlier.definition"]),
          ),
      )
      .with("audited", () => workflowEvent(actor, "RESTORE"))
      .selectFrom("changed")
      .select("latest_version")
      .executeTakeFirst();
    return row?.latest_version ?? (await refuseChange(this.#db, actor, workflow.reference));
  }
}

/** Two publications at once: the second waits for the lock of the row, and counts on from the first. */
const nextVersion = {
  latest_version: sql<number>`latest_version + 1`,
  current_version: sql<number>`latest_version + 1`,
  ...changed,
};

async function loadVersions(
  db: Kysely<Tables>,
  versions: readonly VersionPlace[],
): Promise<readonly (string | undefined)[]> {
  const input = versions.map(({ environmentId, workflowId, version }) => ({
    environment_id: environmentId,
    workflow_id: workflowId,
    version,
  }));
  const { rows } = await sql<{ readonly row: number; readonly definition: string }>`
    select input.row, workflow_version.definition
      from ${inputRows("input", placeTypes, input)} join workflow_version using (environment_id, workflow_id, version)
    `.execute(db);
  return byInputRow(versions, rows).map(([found]) => found?.definition);
}

function versionNotFound(workflow: string, version: number): RequestError {
  return new RequestError("WORKFLOW_VERSION_NOT_FOUND", `The workflow has no version ${version}.`, {
    metadata: { workflow, workflow_version: String(version) },
  });
}

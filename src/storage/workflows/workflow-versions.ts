import { type Kysely, sql, type Transaction } from "kysely";
import type { Tenant } from "../../domain/account.ts";
import type { Actor } from "../../domain/audit.ts";
import type { VersionRecord } from "../../domain/workflow.ts";
import { anyOf } from "../postgres/any-of.ts";
import { byInputRow, inputRows } from "../postgres/input-rows.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { parseVersionToken, versionTokenOf } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import { changeWorkflow } from "./workflow-changes.ts";
import { changed, type Expected } from "./workflow-rows.ts";

export type Publication = Expected & {
  readonly action: "PUBLISH" | "RESTORE";
  readonly definition: string;
  /** The draft's state that the definition was compiled from; absent where it comes from an earlier version. */
  readonly revision?: number;
};

/** Makes a definition the next version: see WorkflowStore.publish. Answers its number, or undefined where nothing moved. */
export async function publishVersion(
  db: Kysely<Tables>,
  actor: Actor,
  publication: Publication,
): Promise<number | undefined> {
  const { action, workflowId } = publication;
  return await changeWorkflow(db, actor, {
    action,
    workflowId,
    change: (transaction) => insertVersion(transaction, actor, publication),
  });
}

async function insertVersion(
  transaction: Transaction<Tables>,
  { environmentId }: Actor,
  { workflowId, definition, revision, expectedRevisions }: Publication,
): Promise<number | undefined> {
  const row = await transaction
    .with("published", (query) =>
      query
        .updateTable("workflow")
        // Counted on the row itself: of two that publish at once the second waits here and counts on.
        .set({
          latest_version: sql`latest_version + 1`,
          current_version: sql`latest_version + 1`,
          ...changed,
        })
        .where("environment_id", "=", environmentId)
        .where("id", "=", workflowId)
        .where("delete_time", "is", null)
        .$if(revision !== undefined, (update) => update.where("draft_revision", "=", revision ?? 0))
        .$if(expectedRevisions !== undefined, (update) => update.where("revision", "=", anyOf(expectedRevisions ?? [])))
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
  return row?.version;
}

export type ListedVersions = {
  readonly versions: readonly VersionRecord[];
  /** Absent on the last page. */
  readonly nextPageToken?: string;
};

/** Lists versions: see WorkflowStore.listVersions. */
export async function listVersions(
  db: Kysely<Tables>,
  workflow: { readonly environmentId: string; readonly workflowId: string },
  asked: Page,
): Promise<ListedVersions> {
  const { environmentId, workflowId } = workflow;
  const filters = { of: "version", environmentId, workflowId };
  const before = asked.pageToken === undefined ? undefined : parseVersionToken(asked.pageToken, filters);
  const rows = await db
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

/** A version of a workflow, and whose it is. */
export type VersionPlace = Tenant & { readonly workflowId: string; readonly version: number };

const placeTypes = { environment_id: "text", workflow_id: "text", version: "int" } as const;

/** Reads definitions: see WorkflowStore.loadVersion. */
export async function loadVersions(
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

import { type Kysely, sql } from "kysely";
import { RequestError } from "../domain/request-error.ts";
import type { WorkflowReference } from "../domain/workflow.ts";
import type { Tables } from "./tables.ts";
import { type LinkedAccount, toLinkedAccount } from "./tenant-store.ts";
import { isReferenced, onlyReferenced } from "./workflow-reference.ts";

/** What a call names. */
export type CallReference = {
  readonly environmentId: string;
  readonly reference: WorkflowReference;
  readonly version?: number;
  readonly linkedAccountId: string;
};

/** What a call that names a workflow and an account is about. */
export type ResolvedCall = {
  readonly workflowId: string;
  readonly slug: string;
  readonly version: number;
  readonly linkedAccount: LinkedAccount;
};

/** Finds all that a call names: see WorkflowStore.resolveCall. */
export async function resolveCall(db: Kysely<Tables>, call: CallReference): Promise<ResolvedCall> {
  const { environmentId, reference, linkedAccountId } = call;
  const rows = await db
    .selectFrom("workflow")
    .leftJoin("linked_account", (join) =>
      join
        .onRef("linked_account.environment_id", "=", "workflow.environment_id")
        .on("linked_account.account_id", "=", linkedAccountId),
    )
    .leftJoin("workflow_version", (join) =>
      join
        .onRef("workflow_version.environment_id", "=", "workflow.environment_id")
        .onRef("workflow_version.workflow_id", "=", "workflow.id")
        .on(
          "workflow_version.version",
          "=",
          call.version === undefined ? sql.ref("workflow.current_version") : call.version,
        ),
    )
    .select(["workflow.id", "workflow.slug", "workflow.current_version", "workflow_version.version"])
    .select(["linked_account.account_id", "linked_account.name", "linked_account.attributes"])
    .where(isReferenced(environmentId, reference))
    .limit(2)
    .execute();
  const { id, slug, current_version, version, account_id, name, attributes } = onlyReferenced(rows, reference);
  if (account_id === null || attributes === null) {
    throw new RequestError("INVALID_LINKED_ACCOUNT_ID", `there is no linked account "${linkedAccountId}"`, {
      metadata: { linked_account_id: linkedAccountId },
    });
  }
  if (current_version === null) {
    throw new RequestError("WORKFLOW_NOT_PUBLISHED", `the workflow "${reference.workflow}" is not published`, {
      metadata: { workflow: reference.workflow },
    });
  }
  if (version === null) {
    const message = `the workflow "${reference.workflow}" has no version ${call.version}`;
    throw new RequestError("WORKFLOW_VERSION_NOT_FOUND", message, {
      metadata: { workflow: reference.workflow, workflow_version: String(call.version) },
    });
  }
  return { workflowId: id, slug, version, linkedAccount: toLinkedAccount({ account_id, name, attributes }) };
}

import { type Kysely, sql } from "kysely";
import type { Account } from "../../domain/account.ts";
import { isId } from "../../domain/id.ts";
import { type AccessScope, isAccessible } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { WorkflowReference } from "../../domain/workflow.ts";
import { byInputRow, inputRows } from "../postgres/input-rows.ts";
import type { Tables } from "../postgres/tables.ts";
import { invalidAccount, type LinkedAccount, toLinkedAccount } from "../tenants/tenant-store.ts";
import { onlyReferenced } from "./workflow-reference.ts";

/** The workflow, the version and the account that a call names. */
export type CallReference = AccessScope &
  Account & { readonly reference: WorkflowReference; readonly version?: number };

/** The workflow version that a call runs, and the account that it runs for. */
export type ResolvedCall = {
  readonly workflowId: string;
  readonly slug: string;
  readonly version: number;
  readonly linkedAccount: LinkedAccount;
};

/** A workflow with the named id or alias, within the caller's scope or not; two where two integrations have the alias. */
export type CallCandidate = {
  readonly row: number;
  readonly id: string;
  readonly slug: string;
  readonly current_version: number | null;
  readonly version: number | null;
  readonly account_id: string | null;
  readonly name: string | null;
  readonly attributes: string | null;
};

const referenceTypes = {
  environment_id: "text",
  workflow_id: "text",
  alias: "text",
  slug: "text",
  version: "int",
  account_id: "text",
} as const;

/** Finds what calls name. An id never matches an alias, and an alias never matches an id. */
export async function findCalls(
  db: Kysely<Tables>,
  calls: readonly CallReference[],
): Promise<readonly (readonly CallCandidate[])[]> {
  const input = calls.map(({ environmentId, reference: { workflow, slug }, version, linkedAccountId }) => ({
    environment_id: environmentId,
    workflow_id: isId(workflow) ? workflow.toLowerCase() : null,
    alias: isId(workflow) ? null : workflow,
    slug: slug ?? null,
    version: version ?? null,
    account_id: linkedAccountId,
  }));
  const workflow = sql`select workflow.* from workflow where workflow.environment_id = input.environment_id
    and workflow.delete_time is null and (input.slug is null or workflow.slug = input.slug)`;
  const { rows } = await sql<CallCandidate>`
    select input.row, workflow.id, workflow.slug, workflow.current_version, workflow_version.version,
        linked_account.account_id, linked_account.name, linked_account.attributes
      from ${inputRows("input", referenceTypes, input)}
      cross join lateral (
        (${workflow} and workflow.id = input.workflow_id)
        union all
        (${workflow} and workflow.alias = input.alias)
      ) as workflow
      left join linked_account
        on linked_account.environment_id = input.environment_id and linked_account.account_id = input.account_id
          and linked_account.delete_time is null
      left join workflow_version
        on workflow_version.environment_id = input.environment_id and workflow_version.workflow_id = workflow.id
          and workflow_version.version = coalesce(input.version, workflow.current_version)`.execute(db);
  return byInputRow(calls, rows);
}

/**
 * Chooses among the candidates of a call. Throws the first of WORKFLOW_NOT_FOUND or SLUG_REQUIRED,
 * INVALID_LINKED_ACCOUNT_ID, WORKFLOW_NOT_PUBLISHED and WORKFLOW_VERSION_NOT_FOUND.
 */
export function resolveCall(call: CallReference, candidates: readonly CallCandidate[]): ResolvedCall {
  const { reference, linkedAccountId } = call;
  const within = candidates.filter(({ id }) => isAccessible(call, { workflowId: id }));
  const { id, slug, current_version, version, account_id, name, attributes } = onlyReferenced(within, reference);
  if (account_id === null || attributes === null || !isAccessible(call, { linkedAccountId: account_id })) {
    throw invalidAccount(linkedAccountId);
  }
  if (current_version === null) {
    const message = `The workflow "${reference.workflow}" is not published. Publish it before you call it.`;
    throw new RequestError("WORKFLOW_NOT_PUBLISHED", message, { metadata: { workflow: reference.workflow } });
  }
  if (version === null) {
    const message = `The workflow "${reference.workflow}" has no version ${call.version}.`;
    throw new RequestError("WORKFLOW_VERSION_NOT_FOUND", message, {
      metadata: { workflow: reference.workflow, workflow_version: String(call.version) },
    });
  }
  return { workflowId: id, slug, version, linkedAccount: toLinkedAccount({ account_id, name, attributes }) };
}

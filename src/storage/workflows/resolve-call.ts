import { type Kysely, type RawBuilder, sql } from "kysely";
import type { Account } from "../../domain/account.ts";
import { isId } from "../../domain/id.ts";
import { type AccessScope, isAccessible } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { WorkflowReference } from "../../domain/workflow.ts";
import { CompiledStatement, type StatementInput } from "../postgres/compiled-statement.ts";
import { byInputRow, type InputRow } from "../postgres/input-rows.ts";
import type { Tables } from "../postgres/tables.ts";
import { hasAlias, hasId, type ReadSet, workflowRead } from "../tenants/read-set.ts";
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
  /** Absent if more than one workflow has the name, of which the caller may access one. */
  readonly readSet?: ReadSet;
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
  /** The versions of the rows, for the read set. */
  readonly workflow_read: string;
  readonly account_read: string | null;
};

const referenceTypes = {
  environment_id: "text",
  workflow_id: "text",
  alias: "text",
  slug: "text",
  version: "int",
  account_id: "text",
} as const;

type ReferenceRow = InputRow<typeof referenceTypes>;

export type FindCalls = (calls: readonly CallReference[]) => Promise<readonly (readonly CallCandidate[])[]>;

/** Finds what calls name. An id never matches an alias, and an alias never matches an id. */
export function findCalls(db: Kysely<Tables>): FindCalls {
  const statement = new CompiledStatement(findStatement);
  return async (calls) => byInputRow(calls, await statement.execute(db, calls.map(toReferenceRow)));
}

function toReferenceRow({ environmentId, reference, version, linkedAccountId }: CallReference): ReferenceRow {
  const { workflow, slug } = reference;
  return {
    environment_id: environmentId,
    workflow_id: isId(workflow) ? workflow.toLowerCase() : null,
    alias: isId(workflow) ? null : workflow,
    slug: slug ?? null,
    version: version ?? null,
    account_id: linkedAccountId,
  };
}

function findStatement(input: StatementInput<readonly ReferenceRow[]>): RawBuilder<CallCandidate> {
  const workflow = sql`select workflow.*, workflow.xmin::text as read from workflow`;
  return sql<CallCandidate>`
    select input.row, workflow.id, workflow.slug, workflow.current_version, workflow_version.version,
        linked_account.account_id, linked_account.name, linked_account.attributes,
        workflow.read as workflow_read, linked_account.xmin::text as account_read
      from ${input.rows("input", referenceTypes, (rows) => rows)}
      cross join lateral (
        (${workflow} where ${hasId("input")})
        union all
        (${workflow} where ${hasAlias("input")})
      ) as workflow
      left join linked_account
        on linked_account.environment_id = input.environment_id and linked_account.account_id = input.account_id
          and linked_account.delete_time is null
      left join workflow_version
        on workflow_version.environment_id = input.environment_id and workflow_version.workflow_id = workflow.id
          and workflow_version.version = coalesce(input.version, workflow.current_version)`;
}

/**
 * Chooses among the candidates of a call. Throws the first of WORKFLOW_NOT_FOUND or SLUG_REQUIRED,
 * INVALID_LINKED_ACCOUNT_ID, WORKFLOW_NOT_PUBLISHED and WORKFLOW_VERSION_NOT_FOUND.
 */
export function resolveCall(call: CallReference, candidates: readonly CallCandidate[]): ResolvedCall {
  const { reference, linkedAccountId } = call;
  const within = candidates.filter(({ id }) => isAccessible(call, { workflowId: id }));
  const row = onlyReferenced(within, reference);
  const { id, slug, current_version, version, account_id, name, attributes, account_read } = row;
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
  const linkedAccount = toLinkedAccount({ account_id, name, attributes });
  return {
    workflowId: id,
    slug,
    version,
    linkedAccount,
    ...(candidates.length === 1 && account_read !== null && { readSet: toReadSet(call, row) }),
  };
}

function toReadSet({ environmentId, reference, linkedAccountId }: CallReference, row: CallCandidate): ReadSet {
  const { workflow, slug } = reference;
  return {
    environmentId,
    workflowId: isId(workflow) ? row.id : undefined,
    alias: isId(workflow) ? undefined : workflow,
    slug,
    accountId: linkedAccountId,
    workflow: workflowRead(row.id, row.workflow_read),
    account: row.account_read ?? "",
    config: undefined,
  };
}

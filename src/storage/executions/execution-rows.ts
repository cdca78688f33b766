import { type Selectable, sql } from "kysely";
import type {
  Answer,
  ExecutionError,
  ExecutionSummary,
  NewExecution,
  NodeRun,
  Outcome,
} from "../../domain/execution.ts";
import type { InputRow } from "../postgres/input-rows.ts";
import type { Tables } from "../postgres/tables.ts";

/** The columns that an execution starts with, and starts from again. */
export const startColumns = [
  "execution.id",
  "execution.environment_id",
  "execution.workflow_id",
  "execution.version",
  "execution.linked_account_id",
  "execution.config_id",
  "execution.tag",
  "execution.type",
  "execution.source",
  "execution.origin_id",
  "execution.payload",
  "execution.headers",
  "execution.fields",
] as const;

/** Whose an execution is in the end. A subquery for each row of a result: a row of `environment` is found by its key. */
export const ownerOrganization = sql<string>`(
  select environment.organization_id from environment where environment.id = execution.environment_id
)`.as("organization_id");

type ExecutionRow = Selectable<Tables["execution"]>;

type StartRow = Omit<
  ExecutionRow,
  "state" | "response" | "status_code" | "error" | "create_time" | "end_time" | "finished_epoch"
>;

/** The columns of toStartRow. */
export const startTypes = {
  id: "text",
  environment_id: "text",
  workflow_id: "text",
  version: "int",
  linked_account_id: "text",
  config_id: "text",
  tag: "text",
  type: "text",
  source: "text",
  origin_id: "text",
  payload: "text",
  headers: "text",
  fields: "text",
} as const;

export function toStartRow(execution: NewExecution): InputRow<typeof startTypes> {
  return {
    id: execution.id,
    environment_id: execution.environmentId,
    workflow_id: execution.workflowId,
    version: execution.version,
    linked_account_id: execution.linkedAccountId,
    config_id: execution.configId,
    tag: execution.tag ?? null,
    type: execution.type,
    source: execution.source,
    origin_id: execution.originId ?? null,
    payload: execution.payload,
    headers: execution.headers,
    fields: execution.fields ?? null,
  };
}

export function toNewExecution(row: StartRow & { readonly organization_id: string }): NewExecution {
  return {
    id: row.id,
    organizationId: row.organization_id,
    environmentId: row.environment_id,
    workflowId: row.workflow_id,
    version: row.version,
    linkedAccountId: row.linked_account_id,
    configId: row.config_id,
    ...(row.tag !== null && { tag: row.tag }),
    type: row.type,
    source: row.source,
    ...(row.origin_id !== null && { originId: row.origin_id }),
    payload: row.payload,
    headers: row.headers,
    ...(row.fields !== null && { fields: row.fields }),
  };
}

/** The columns of a summary that are the execution's own, but for its error. */
export const summaryColumns = [
  "execution.id",
  "execution.workflow_id",
  "execution.version",
  "execution.linked_account_id",
  "execution.config_id",
  "execution.tag",
  "execution.type",
  "execution.source",
  "execution.origin_id",
  "execution.state",
  "execution.status_code",
  "execution.create_time",
  "execution.end_time",
] as const;

type SummaryColumn = (typeof summaryColumns)[number] extends `execution.${infer Column}` ? Column : never;

type SummaryRow = Pick<ExecutionRow, SummaryColumn | "error"> & {
  readonly slug: string;
  readonly claim_state: "QUEUED" | "RUNNING" | "WAITING";
};

/** What an execution belongs to. */
export const ownColumns = { workflow: "execution.workflow_id", account: "execution.linked_account_id" } as const;

/** A subquery for each row of a result, as the next one: a join may read all workflows. */
export const workflowSlug = sql<string>`(
  select workflow.slug from workflow
  where workflow.environment_id = execution.environment_id and workflow.id = execution.workflow_id
)`.as("slug");

/**
 * Where an execution stands that has not ended. A subquery for each row of a result: a join would read the claims of
 * all. Without a claim it has ended since the row was read.
 */
export const claimState = sql<"QUEUED" | "RUNNING" | "WAITING">`coalesce((
  select case when owner is not null then 'RUNNING' when due_time > now() then 'WAITING' else 'QUEUED' end
  from execution_claim
  where execution_claim.execution_id = execution.id
    and execution_claim.environment_id = execution.environment_id
), 'RUNNING')`.as("claim_state");

/** How long an execution has run so far, all its owners together. */
export const ranMs = sql<number>`run_ms + coalesce(extract(epoch from now() - run_since) * 1000, 0)::bigint`;

export function toSummary(row: SummaryRow): ExecutionSummary {
  return {
    id: row.id,
    workflowId: row.workflow_id,
    slug: row.slug,
    version: row.version,
    linkedAccountId: row.linked_account_id,
    configId: row.config_id,
    ...(row.tag !== null && { tag: row.tag }),
    type: row.type,
    source: row.source,
    ...(row.origin_id !== null && { originId: row.origin_id }),
    state: row.state ?? row.claim_state,
    ...(row.status_code !== null && { statusCode: row.status_code }),
    ...(row.error !== null && { error: parseError(row.error) }),
    createTime: row.create_time,
    ...(row.end_time !== null && { endTime: row.end_time }),
  };
}

/** The columns of toAnswerRow. */
export const answerTypes = { response: "text", status_code: "int" } as const;

export function toAnswerRow(answer: Answer | undefined): InputRow<typeof answerTypes> {
  return { response: answer?.response ?? null, status_code: answer?.statusCode ?? null };
}

/** The columns of toOutcomeRow. */
export const outcomeTypes = { state: "text", ...answerTypes, error: "text" } as const;

/** How an execution ended, but for the time, which is the database's. */
export function toOutcomeRow({ state, response, statusCode, error }: Outcome) {
  return {
    state,
    response: response ?? null,
    status_code: statusCode ?? null,
    error: error === undefined ? null : JSON.stringify(error),
  };
}

/** The columns of an end that comes from outside: what the execution has answered by then is left as it is. */
export function toEndRow(outcome: Outcome) {
  const { state, error } = toOutcomeRow(outcome);
  return { state, error };
}

/** What toOutcomeRow wrote, but for the state. */
export function toAnswer({ response, status_code, error }: Pick<ExecutionRow, "response" | "status_code" | "error">) {
  return {
    ...(response !== null && { response }),
    ...(status_code !== null && { statusCode: status_code }),
    ...(error !== null && { error: parseError(error) }),
  };
}

function parseError(text: string): ExecutionError {
  // Written by toOutcomeRow from an ExecutionError.
  return JSON.parse(text) as ExecutionError;
}

export function parseEntries(text: string): readonly NodeRun[] {
  // Written by the execution store from an array of NodeRun.
  return JSON.parse(text) as NodeRun[];
}

import { type Selectable, sql } from "kysely";
import type {
  Answer,
  ExecutionDetail,
  ExecutionError,
  ExecutionSummary,
  NewExecution,
  NodeRun,
  Outcome,
} from "../../domain/execution.ts";
import type { InputRow } from "../postgres/input-rows.ts";
import type { Tables } from "../postgres/tables.ts";

/** The columns that an execution runs from. */
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

/** The organisation of an execution. A subquery, since it finds each row of `environment` by its key. */
export const ownerOrganization = sql<string>`(
  select environment.organization_id from environment where environment.id = execution.environment_id
)`.as("organization_id");

type ExecutionRow = Selectable<Tables["execution"]>;

type StartRow = Omit<
  ExecutionRow,
  "state" | "response" | "status_code" | "error" | "create_time" | "end_time" | "finished_epoch"
>;

/** The columns of `toStartRow`, for `inputRows`. */
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

/** The columns of a summary without its error. */
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

/** The columns that `isWithinScope` restricts. */
export const ownColumns = { workflow: "execution.workflow_id", account: "execution.linked_account_id" } as const;

/** A subquery, since a join may read all workflows. */
export const workflowSlug = sql<string>`(
  select workflow.slug from workflow
  where workflow.environment_id = execution.environment_id and workflow.id = execution.workflow_id
)`.as("slug");

/**
 * The state of an execution that has not ended. A subquery, since a join would read all claims. An execution without a
 * claim has ended since its row was read.
 */
export const claimState = sql<"QUEUED" | "RUNNING" | "WAITING">`coalesce((
  select case when owner is not null then 'RUNNING' when due_time > now() then 'WAITING' else 'QUEUED' end
  from execution_claim
  where execution_claim.execution_id = execution.id
    and execution_claim.environment_id = execution.environment_id
), 'RUNNING')`.as("claim_state");

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

/** As `toSummary`, with payload and response. */
export function toDetail(row: SummaryRow & Pick<ExecutionRow, "payload" | "response">): ExecutionDetail {
  return { ...toSummary(row), payload: row.payload, ...(row.response !== null && { response: row.response }) };
}

/** The columns of `toAnswerRow`. */
export const answerTypes = { response: "text", status_code: "int" } as const;

export function toAnswerRow(answer: Answer | undefined): InputRow<typeof answerTypes> {
  return { response: answer?.response ?? null, status_code: answer?.statusCode ?? null };
}

/** The columns of `toOutcomeRow`. */
export const outcomeTypes = { state: "text", ...answerTypes, error: "text" } as const;

/** How an execution ended. The time of the end is the database's. */
export function toOutcomeRow({ state, response, statusCode, error }: Outcome) {
  return {
    state,
    response: response ?? null,
    status_code: statusCode ?? null,
    error: error === undefined ? null : JSON.stringify(error),
  };
}

/** The columns of a stop or an expiry, which leave a committed response as it is. */
export function toEndRow(outcome: Outcome) {
  const { state, error } = toOutcomeRow(outcome);
  return { state, error };
}

/** Reads what `toOutcomeRow` wrote, without the state. */
export function toAnswer({ response, status_code, error }: Pick<ExecutionRow, "response" | "status_code" | "error">) {
  return {
    ...(response !== null && { response }),
    ...(status_code !== null && { statusCode: status_code }),
    ...(error !== null && { error: parseError(error) }),
  };
}

function parseError(text: string): ExecutionError {
  // `toOutcomeRow` wrote it from an ExecutionError.
  return JSON.parse(text) as ExecutionError;
}

export function parseEntries(text: string): readonly NodeRun[] {
  // `toFlushRow` wrote it from an array of NodeRun.
  return JSON.parse(text) as NodeRun[];
}

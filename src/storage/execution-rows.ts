import type { Insertable, Selectable } from "kysely";
import type { ExecutionError, NewExecution, NodeRun, Outcome } from "../domain/execution.ts";
import type { Tables } from "./tables.ts";

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
  "execution.payload",
  "execution.headers",
] as const;

type ExecutionRow = Selectable<Tables["execution"]>;

type StartRow = Omit<
  ExecutionRow,
  "state" | "response" | "status_code" | "error" | "create_time" | "end_time" | "finished_epoch"
>;

export function toStartRow(execution: NewExecution): Insertable<Tables["execution"]> {
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
    payload: execution.payload,
    headers: execution.headers,
  };
}

export function toNewExecution(row: StartRow): NewExecution {
  return {
    id: row.id,
    environmentId: row.environment_id,
    workflowId: row.workflow_id,
    version: row.version,
    linkedAccountId: row.linked_account_id,
    configId: row.config_id,
    ...(row.tag !== null && { tag: row.tag }),
    type: row.type,
    source: row.source,
    payload: row.payload,
    headers: row.headers,
  };
}

/** How an execution ended, but for the time, which is the database's. */
export function toOutcomeRow({ state, response, statusCode, error }: Outcome) {
  return {
    state,
    response: response ?? null,
    status_code: statusCode ?? null,
    error: error === undefined ? null : JSON.stringify(error),
  };
}

export function parseError(text: string): ExecutionError {
  // Written by toOutcomeRow from an ExecutionError.
  return JSON.parse(text) as ExecutionError;
}

export function parseEntries(text: string): readonly NodeRun[] {
  // Written by the execution store from an array of NodeRun.
  return JSON.parse(text) as NodeRun[];
}

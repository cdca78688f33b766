import { create, fromJson, type JsonObject } from "@bufbuild/protobuf";
import { timestampFromDate, timestampFromMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type ExecutionDetail,
  type ExecutionError,
  type ExecutionSource,
  type ExecutionState,
  type ExecutionStatus,
  type ExecutionSummary,
  type ExecutionType,
  type NodeAttempt,
  type NodeRun,
  type NodeState,
  type SentRequest,
  statusOf,
} from "../../domain/execution.ts";
import { parseJson, valueMessage } from "../../domain/json/json-parse.ts";
import { shownError } from "../../engine/errors/shown-error.ts";
import type { NodeViews } from "../../engine/graph/definition-outline.ts";
import {
  ConsoleLine_Level,
  Execution_Source,
  Execution_State,
  Execution_Type,
  type ExecutionError as ExecutionErrorMessage,
  ExecutionErrorSchema,
  ExecutionResult_Status,
  ExecutionSchema,
  NodeAttemptSchema,
  NodeRun_State,
  NodeRunSchema,
  SentRequestSchema,
} from "../../gen/flowcall/v1/execution_pb.ts";
import type { ListedNodeRuns } from "../../storage/history/execution-reader.ts";
import { shownRun } from "./shown-run.ts";

/** An execution in the form of ListExecutions. */
export function summaryMessage(execution: ExecutionSummary) {
  const { tag, statusCode, endTime, originId } = execution;
  return create(ExecutionSchema, {
    id: execution.id,
    workflowId: execution.workflowId,
    slug: execution.slug,
    // A draft under test is stored under a negative number.
    workflowVersion: Math.max(0, execution.version),
    linkedAccountId: execution.linkedAccountId,
    configId: execution.configId,
    ...(tag !== undefined && { tag }),
    state: states[execution.state],
    status: statuses[statusOf(execution.state)],
    type: types[execution.type],
    source: sources[execution.source],
    ...(originId !== undefined && execution.source === "RERUN" && { rerunOf: originId }),
    ...(originId !== undefined && execution.source === "RETRY" && { retryOf: originId }),
    ...(statusCode !== undefined && { statusCode }),
    ...errorField(execution.error),
    createTime: timestampFromDate(execution.createTime),
    ...(endTime !== undefined && { endTime: timestampFromDate(endTime) }),
  });
}

/** An execution in the form of GetExecution. */
export function detailMessage(execution: ExecutionDetail, listed: ListedNodeRuns | undefined, views: NodeViews) {
  const { payload, response, parent } = execution;
  return Object.assign(summaryMessage(execution), {
    // The cast: the root of the stored text was checked to be an object.
    payload: parseJson(payload) as JsonObject,
    ...(response !== undefined && { response: valueMessage(response) }),
    ...(parent && {
      parentExecutionId: parent.executionId,
      parentPath: parent.path,
      rootExecutionId: parent.rootId,
    }),
    ...(listed && { nodeRuns: listed.runs.map((run) => nodeRunMessage(run, views)) }),
    ...(listed && listed.notedRuns > 0 && { notedRuns: listed.notedRuns }),
  });
}

/** Makes the message of a node run. No other code does, since the values that the node hides are left out here. */
export function nodeRunMessage(run: NodeRun, views: NodeViews) {
  const view = views.get(run.node_id);
  const { input, output, port, error, request } = shownRun(run, view);
  return create(NodeRunSchema, {
    nodeId: run.node_id,
    path: run.path,
    ...(view?.name && { name: view.name }),
    state: nodeStates[run.state],
    attempts: run.attempts,
    startTime: timestampFromMs(run.start_time),
    ...(!isUnderWay(run) && { endTime: timestampFromMs(run.end_time) }),
    ...(run.state === "WAITING" && { waitEndTime: timestampFromMs(run.end_time) }),
    ...(port !== undefined && { port }),
    ...errorField(error),
    notes: [...(run.notes ?? [])],
    console: (run.console ?? []).map(({ level, text }) => ({ level: ConsoleLine_Level[level], text })),
    ...(input !== undefined && { input: valueMessage(input) }),
    ...(request !== undefined && view?.isHidden === false && { request: requestMessage(request) }),
    ...(output !== undefined && { output: valueMessage(output) }),
  });
}

function requestMessage({ method, url, headers, body, is_cut = false }: SentRequest) {
  return create(SentRequestSchema, {
    ...{ method, url, headers: [...headers] },
    ...(body !== undefined && { body }),
    ...(is_cut && { isCut: true }),
  });
}

/** Makes the messages of the attempts of a node run, without what the node hides. */
export function attemptMessages(attempts: readonly NodeAttempt[], run: Pick<NodeRun, "node_id">, views: NodeViews) {
  const hiding = views.get(run.node_id) ?? { isHidden: true, encryptedFields: [] };
  return attempts.map(({ number, start_time, end_time, delay_ms, error }) => {
    const { reason, message, status } = error === undefined ? {} : shownError(error, hiding);
    return create(NodeAttemptSchema, {
      ...{ number, startTime: timestampFromMs(start_time), endTime: timestampFromMs(end_time) },
      ...(delay_ms !== undefined && { delayMs: BigInt(delay_ms) }),
      ...(reason !== undefined && { reason }),
      ...(message !== undefined && { message }),
      ...(status !== undefined && { status }),
    });
  });
}

/** Whether a visit of a node has not ended. */
export function isUnderWay({ state }: Pick<NodeRun, "state">): boolean {
  return state === "RUNNING" || state === "WAITING";
}

/** Our word for a member of one of the enums below; undefined where the field is not set. */
export function wordOf<Word extends string>(
  enums: Readonly<Record<Word, number>>,
  member: number | undefined,
): Word | undefined {
  // A Record has the keys that its type names.
  return (Object.keys(enums) as Word[]).find((word) => enums[word] === member);
}

/** The field `error` of a message, to be spread into it. */
export function errorField(error: ExecutionError | undefined) {
  if (error === undefined) {
    return {};
  }
  return { error: errorMessage(error) };
}

function errorMessage(error: ExecutionError): ExecutionErrorMessage {
  return create(ExecutionErrorSchema, {
    reason: error.reason,
    message: error.message,
    ...(error.node_id !== undefined && { nodeId: error.node_id }),
    ...(error.node_name !== undefined && { nodeName: error.node_name }),
    ...(error.execution_id !== undefined && { executionId: error.execution_id }),
    ...(error.status !== undefined && { status: error.status }),
    ...(error.body !== undefined && { body: fromJson(ValueSchema, error.body) }),
    ...(error.is_cut === true && { isCut: true }),
    ...(error.cause !== undefined && { cause: errorMessage(error.cause) }),
  });
}

export const statuses: Readonly<Record<ExecutionStatus, ExecutionResult_Status>> = {
  RUNNING: ExecutionResult_Status.RUNNING,
  COMPLETED: ExecutionResult_Status.COMPLETED,
  ERRORED: ExecutionResult_Status.ERRORED,
};

export const states: Readonly<Record<ExecutionState, Execution_State>> = {
  QUEUED: Execution_State.QUEUED,
  RUNNING: Execution_State.RUNNING,
  WAITING: Execution_State.WAITING,
  COMPLETED: Execution_State.COMPLETED,
  ERRORED: Execution_State.ERRORED,
  STOPPED: Execution_State.STOPPED,
  TIMED_OUT: Execution_State.TIMED_OUT,
};

export const types: Readonly<Record<ExecutionType, Execution_Type>> = {
  SYNC: Execution_Type.SYNC,
  ASYNC: Execution_Type.ASYNC,
};

export const sources: Readonly<Record<ExecutionSource, Execution_Source>> = {
  API_CALL: Execution_Source.API_CALL,
  SUB_FLOW: Execution_Source.SUB_FLOW,
  BATCH: Execution_Source.BATCH,
  TEST: Execution_Source.TEST,
  RERUN: Execution_Source.RERUN,
  RETRY: Execution_Source.RETRY,
  SCHEDULE: Execution_Source.SCHEDULE,
};

const nodeStates: Readonly<Record<NodeState, NodeRun_State>> = {
  SUCCESS: NodeRun_State.SUCCESS,
  ERRORED: NodeRun_State.ERRORED,
  ERRORED_AND_SKIPPED: NodeRun_State.ERRORED_AND_SKIPPED,
  SKIPPED: NodeRun_State.SKIPPED,
  WAITING: NodeRun_State.WAITING,
  RUNNING: NodeRun_State.RUNNING,
  STOPPED: NodeRun_State.STOPPED,
  TIMED_OUT: NodeRun_State.TIMED_OUT,
};

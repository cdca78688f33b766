import { type DescEnum, type JsonObject, toJson } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate, timestampMs } from "@bufbuild/protobuf/wkt";
import { writeFieldJson } from "../../domain/json/json-writer.ts";
import {
  type Execution,
  Execution_SourceSchema,
  Execution_StateSchema,
  Execution_TypeSchema,
  ExecutionErrorSchema,
  ExecutionSchema,
  GetExecutionRequestSchema,
  type NodeRun,
  NodeRun_State,
  Execution_Source as Source,
} from "../../gen/flowcall/v1/execution_pb.ts";
import { accountOfKey, asMessage, unknownParameter } from "./form-fields.ts";
import type { RestForm } from "./rest-form.ts";

/** The words of these clients for what started an execution; other sources have our own. */
export const sourceWords: ReadonlyMap<Source, string> = new Map([
  [Source.API_CALL, "API Call"],
  [Source.SCHEDULE, "Schedule"],
]);

const nodeStatuses: Readonly<Record<NodeRun_State, string>> = {
  [NodeRun_State.STATE_UNSPECIFIED]: "Ready",
  [NodeRun_State.SUCCESS]: "Success",
  [NodeRun_State.ERRORED]: "Errored",
  [NodeRun_State.ERRORED_AND_SKIPPED]: "Errored_and_Skipped",
  [NodeRun_State.SKIPPED]: "Skipped",
  // These clients have no word for a node that runs.
  [NodeRun_State.RUNNING]: "Waiting",
  [NodeRun_State.WAITING]: "Waiting",
  [NodeRun_State.STOPPED]: "Stopped",
  [NodeRun_State.TIMED_OUT]: "Timed_Out",
};

const text = { type: "string" } as const;
const time = { type: "string", format: "date-time" } as const;

/** The schema of `executionJson`. */
export const executionSchema: JsonObject = {
  type: "object",
  required: ["_id", "id", "name", "status", "associated_workflow", "linked_account_id", "config_id", "createdAt"],
  properties: {
    _id: text,
    id: text,
    name: text,
    status: { enum: ["QUEUED", "RUNNING", "WAITING", "COMPLETED", "ERRORED", "STOPPED", "TIMED_OUT"] },
    associated_workflow: { type: "object", properties: { _id: text } },
    associated_application: { type: "object", properties: { slug: text } },
    trigger_application_event: {
      type: "string",
      description: "`API Call`, `Schedule`, or a word of Execution.Source.",
    },
    linked_account_id: text,
    config_id: text,
    instance_tag: text,
    type_of_execution: { enum: ["SYNC", "ASYNC"] },
    createdAt: time,
    completion_time: time,
    execution_error: { $ref: "#/components/schemas/ExecutionError" },
  },
};

const nodeSchema: JsonObject = {
  type: "object",
  properties: {
    node_id: { type: "string", description: "The node's id." },
    node_name: text,
    node_status: { enum: [...new Set(Object.values(nodeStatuses))] },
    attempts_made: { type: "integer" },
    execution_time: { type: "integer", description: "In milliseconds; absent while it is under way." },
    error: { $ref: "#/components/schemas/ExecutionError" },
  },
};

/** GetExecution with the reply of `GET /api/v2/public/execution/{execution_id}`. */
export const executionForm: RestForm = {
  fill(message, { query, call }) {
    const request = asMessage(GetExecutionRequestSchema, message);
    const account = accountOfKey(call);
    if (account !== undefined) {
      request.linkedAccountId = account;
    }
    return query.map(({ name }) => unknownParameter(name, []));
  },
  reply(answer) {
    const execution = asMessage(ExecutionSchema, answer);
    const rest = JSON.stringify({
      ...executionJson(execution),
      ...(execution.endTime !== undefined && { completion_percentage: 100 }),
      nodes: execution.nodeRuns
        .toSorted((left, right) => msOf(left.startTime) - msOf(right.startTime))
        .map((run) => nodeJson(run)),
    });
    const { payload, response } = ExecutionSchema.field;
    // Both are copied as the texts that they carry.
    const values = [payload, response].map(
      (field) => `${JSON.stringify(field.name)}:${writeFieldJson(ExecutionSchema, field, execution)}`,
    );
    return { status: 200, body: { kind: "json", text: `${rest.slice(0, -1)},${values.join(",")}}` } };
  },
  documented: {
    operationId: "getExecutionV2",
    summary: "Refold: read an execution",
    note: "The same call with the reply that clients of Refold know. The data of nodes is in the reply of GetNodeRun alone.",
    parameters: [],
    replies: {
      "200": {
        description: "The execution, with its nodes in the order in which they began.",
        content: {
          "application/json": {
            schema: {
              allOf: [
                executionSchema,
                {
                  type: "object",
                  required: ["nodes", "payload", "response"],
                  properties: {
                    completion_percentage: { const: 100, description: "There when the execution has ended." },
                    nodes: { type: "array", items: nodeSchema },
                    payload: { type: "object" },
                    response: { description: "The value of the Response node; null where none has run." },
                  },
                },
              ],
            },
          },
        },
      },
    },
  },
};

/** An execution as a list has it. */
export function executionJson(execution: Execution): JsonObject {
  const { id, workflowId, slug, tag, state, type, source, error, createTime, endTime } = execution;
  return {
    _id: id,
    id,
    name: `${source === Source.RETRY ? "Retry" : "Execution"} for workflow ${workflowId}`,
    status: wordOf(Execution_StateSchema, state),
    associated_workflow: { _id: workflowId },
    ...(slug !== undefined && { associated_application: { slug } }),
    trigger_application_event: sourceWords.get(source) ?? wordOf(Execution_SourceSchema, source),
    linked_account_id: execution.linkedAccountId,
    config_id: execution.configId,
    ...(tag !== undefined && { instance_tag: tag }),
    type_of_execution: wordOf(Execution_TypeSchema, type),
    createdAt: timeOf(createTime),
    ...(endTime !== undefined && { completion_time: timeOf(endTime) }),
    ...(error !== undefined && { execution_error: toJson(ExecutionErrorSchema, error) }),
  };
}

function nodeJson({ nodeId, name, state, attempts, startTime, endTime, error }: NodeRun): JsonObject {
  return {
    node_id: nodeId,
    ...(name !== undefined && { node_name: name }),
    node_status: nodeStatuses[state] ?? "",
    attempts_made: attempts ?? 0,
    ...(endTime !== undefined && { execution_time: msOf(endTime) - msOf(startTime) }),
    ...(error !== undefined && { error: toJson(ExecutionErrorSchema, error) }),
  };
}

function wordOf({ values }: DescEnum, member: number): string {
  return values.find(({ number }) => number === member)?.name ?? "";
}

function timeOf(time: Timestamp | undefined): string {
  return time === undefined ? "" : timestampDate(time).toISOString();
}

function msOf(time: Timestamp | undefined): number {
  return time === undefined ? 0 : timestampMs(time);
}

import { create, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Call } from "../domain/call.ts";
import { type ExecutionError, type ExecutionState, type ExecutionStatus, statusOf } from "../domain/execution.ts";
import { jsonTextOf } from "../domain/json-parse.ts";
import type { JsonText } from "../domain/json-text.ts";
import type { Limits } from "../domain/limits.ts";
import { RequestError } from "../domain/request-error.ts";
import { valueMessage } from "../domain/value-message.ts";
import {
  ExecuteWorkflowResponseSchema,
  ExecutionErrorSchema,
  ExecutionResult_Status,
  ExecutionResultSchema,
  ExecutionService,
} from "../gen/flowcall/v1/execution_pb.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { ExecutionStore } from "../storage/execution-store.ts";
import { eventHeaders } from "./event-headers.ts";
import { type Implementation, implement } from "./handler-chain.ts";
import { principalOf } from "./principal-of.ts";

export type ExecutionServiceOptions = {
  readonly scheduler: Scheduler;
  readonly executions: ExecutionStore;
  readonly limits: Limits;
};

/** The two calls that carry the product. */
export function createExecutionService({ scheduler, executions, limits }: ExecutionServiceOptions): Implementation {
  return implement(ExecutionService, {
    executeWorkflow: async (request, call) => {
      const body = request.payload ?? {};
      const { executionId, outcome } = await scheduler.execute({
        environmentId: principalOf(call).environmentId,
        reference: { workflow: request.workflow, ...(request.slug !== undefined && { slug: request.slug }) },
        linkedAccountId: request.linkedAccountId,
        type: request.syncExecution === true ? "SYNC" : "ASYNC",
        payload: jsonTextOf(body, { name: "payload", limits: limits.payload, root: "object" }),
        event: { body, headers: eventHeaders(call.headers, limits.eventHeaderBytesMax) },
        ...(request.workflowVersion !== undefined && { version: request.workflowVersion }),
        ...(request.configId !== undefined && { configId: request.configId }),
        ...(request.tag !== undefined && { tag: request.tag }),
      });
      tellExecution(call, executionId, outcome?.state ?? "RUNNING");
      if (outcome === undefined) {
        return create(ExecuteWorkflowResponseSchema, {
          executionId,
          ...(request.syncExecution === true && { status: ExecutionResult_Status.RUNNING }),
        });
      }
      if (outcome.state !== "COMPLETED") {
        return create(ExecuteWorkflowResponseSchema, {
          executionId,
          status: ExecutionResult_Status.ERRORED,
          ...errorField(outcome.error),
        });
      }
      return create(ExecuteWorkflowResponseSchema, {
        executionId,
        returnValue: value(outcome.response),
        ...(outcome.statusCode !== undefined && { statusCode: outcome.statusCode }),
      });
    },

    getExecutionResponse: async ({ executionId, linkedAccountId }, call) => {
      const { environmentId } = principalOf(call);
      const result = await executions.getResult({ environmentId, linkedAccountId, executionId });
      if (result === undefined) {
        throw new RequestError("RESOURCE_NOT_FOUND", "Execution not found.", {
          metadata: { execution_id: executionId },
        });
      }
      tellExecution(call, executionId, result.state);
      return create(ExecutionResultSchema, {
        response: value(result.response),
        status: statuses[statusOf(result.state)],
        ...(statusOf(result.state) === "ERRORED" && errorField(result.error)),
      });
    },
  });
}

const statuses: Readonly<Record<ExecutionStatus, ExecutionResult_Status>> = {
  RUNNING: ExecutionResult_Status.RUNNING,
  COMPLETED: ExecutionResult_Status.COMPLETED,
  ERRORED: ExecutionResult_Status.ERRORED,
};

/** Every reply about an execution says which and how it stands in headers too, since a body may be the workflow's own. */
function tellExecution(call: Call, executionId: string, state: ExecutionState): void {
  call.replyHeaders.set("x-execution-id", executionId);
  call.replyHeaders.set("x-execution-status", statusOf(state));
}

function value(text: JsonText | undefined) {
  return text === undefined ? fromJson(ValueSchema, null) : valueMessage(text);
}

function errorField(error: ExecutionError | undefined) {
  if (error === undefined) return {};
  return {
    error: create(ExecutionErrorSchema, {
      reason: error.reason,
      message: error.message,
      ...(error.node_id !== undefined && { nodeId: error.node_id }),
      ...(error.node_name !== undefined && { nodeName: error.node_name }),
    }),
  };
}

import { create } from "@bufbuild/protobuf";
import { statusOf } from "../domain/execution.ts";
import { jsonTextOf } from "../domain/json-parse.ts";
import {
  ExecuteWorkflowResponseSchema,
  ExecutionResult_Status,
  ExecutionResultSchema,
  ExecutionService,
} from "../gen/flowcall/v1/execution_pb.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { ExecutionStore } from "../storage/execution-store.ts";
import { eventHeaders } from "./event-headers.ts";
import { errorField, statuses, valueField } from "./execution-message.ts";
import { type ExecutionQueriesOptions, executionNotFound, executionQueries } from "./execution-queries.ts";
import { type Implementation, implement } from "./handler-chain.ts";
import { principalOf } from "./principal-of.ts";
import { tellExecution } from "./tell-execution.ts";

export type ExecutionServiceOptions = ExecutionQueriesOptions & {
  readonly scheduler: Scheduler;
  readonly executions: ExecutionStore;
};

/** The two calls that carry the product, and what is asked about executions beside them. */
export function createExecutionService(options: ExecutionServiceOptions): Implementation {
  const { scheduler, executions, limits } = options;
  return implement(ExecutionService, {
    ...executionQueries(options),

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
        returnValue: valueField(outcome.response),
        ...(outcome.statusCode !== undefined && { statusCode: outcome.statusCode }),
      });
    },

    getExecutionResponse: async ({ executionId, linkedAccountId }, call) => {
      const { environmentId } = principalOf(call);
      const result = await executions.getResult({ environmentId, linkedAccountId, executionId });
      if (result === undefined) {
        throw executionNotFound(executionId);
      }
      tellExecution(call, executionId, result.state);
      return create(ExecutionResultSchema, {
        response: valueField(result.response),
        status: statuses[statusOf(result.state)],
        ...(statusOf(result.state) === "ERRORED" && errorField(result.error)),
      });
    },
  });
}

import { create } from "@bufbuild/protobuf";
import { isTerminal, statusOf } from "../../domain/execution.ts";
import type { Call } from "../../domain/http/call.ts";
import { jsonTextOf, valueMessage } from "../../domain/json/json-parse.ts";
import {
  type ExecuteWorkflowRequest,
  ExecuteWorkflowResponseSchema,
  ExecutionResult_Status,
  ExecutionResultSchema,
  ExecutionService,
  type GetExecutionResponseRequest,
} from "../../gen/flowcall/v1/execution_pb.ts";
import { executionNotFound } from "../../scheduler/accept/call-errors.ts";
import type { ExecuteResult } from "../../scheduler/accept/execute-call.ts";
import type { ExecutionStore } from "../../storage/executions/execution-store.ts";
import type { EndpointStore } from "../../storage/webhooks/endpoint-store.ts";
import { accessScopeOf, eventHeaders, principalOf, setExecutionHeaders, waitBudget } from "../chain/handler-call.ts";
import { type Implementation, implement, type ServiceHandlers } from "../chain/handler-chain.ts";
import { errorField, statuses } from "./execution-message.ts";
import { ExecutionQueries, type ExecutionQueriesOptions } from "./execution-queries.ts";
import { ExecutionWatch, type ExecutionWatchOptions } from "./execution-watch.ts";

export type ExecutionServiceOptions = ExecutionQueriesOptions &
  ExecutionWatchOptions & { readonly executions: ExecutionStore; readonly endpoints: EndpointStore };

/** ExecuteWorkflow and GetExecutionResponse; the other methods of the service are in `execution-queries.ts` and `execution-watch.ts`. */
export function createExecutionService(options: ExecutionServiceOptions): Implementation {
  const handlers = [new ExecutionHandlers(options), new ExecutionQueries(options), new ExecutionWatch(options)];
  return implement(ExecutionService, ...handlers);
}

type Executions = Pick<ServiceHandlers<typeof ExecutionService>, "executeWorkflow" | "getExecutionResponse">;

class ExecutionHandlers implements Executions {
  readonly #options: ExecutionServiceOptions;

  constructor(options: ExecutionServiceOptions) {
    this.#options = options;
  }

  async executeWorkflow(request: ExecuteWorkflowRequest, call: Call) {
    const { scheduler, endpoints, limits } = this.#options;
    const body = request.payload ?? {};
    const isSync = request.syncExecution === true;
    const isWaiting = isSync || request.wait !== undefined;
    let headers = eventHeaders(call.headers, limits);
    if (request.webhook !== undefined) {
      const { webhook } = request;
      await endpoints.get({ environmentId: principalOf(call).environmentId }, webhook);
      // The endpoint that is to be told of the end is kept among the event's headers.
      headers = { ...headers, webhook };
    }
    const started = await scheduler.execute({
      ...accessScopeOf(call),
      organizationId: principalOf(call).organizationId,
      reference: { workflow: request.workflow, ...(request.slug !== undefined && { slug: request.slug }) },
      linkedAccountId: request.linkedAccountId,
      type: isSync ? "SYNC" : "ASYNC",
      event: { body, headers },
      payload: jsonTextOf(body, { name: "payload", limits: limits.payload, root: "object" }),
      signal: call.signal,
      onWait: call.onWait,
      ...(isWaiting && { waitMs: waitBudget(call, { seconds: request.wait, limitMs: limits.syncWaitMs }) }),
      ...(request.idempotencyKey !== undefined && { idempotencyKey: request.idempotencyKey }),
      ...(request.workflowVersion !== undefined && { version: request.workflowVersion }),
      ...(request.configId !== undefined && { configId: request.configId }),
      ...(request.tag !== undefined && { tag: request.tag }),
    });
    setExecutionHeaders(call, started.executionId, started.outcome?.state ?? started.state ?? "RUNNING");
    if (request.wait !== undefined) {
      call.replyHeaders.set("preference-applied", `wait=${request.wait}`);
    }
    if (started.isReplayed === true) {
      call.replyHeaders.set("idempotent-replayed", "true");
    }
    return startedMessage(started, { isWaiting });
  }

  async getExecutionResponse(request: GetExecutionResponseRequest, call: Call) {
    const { scheduler, executions, limits } = this.#options;
    const { executionId, linkedAccountId, wait = 0 } = request;
    const { organizationId } = principalOf(call);
    const query = { ...accessScopeOf(call), organizationId, linkedAccountId, executionId };
    const reserve = (bytes: number) => call.reserveReply?.(bytes);
    let result = await executions.getResult(query, reserve);
    if (result !== undefined && wait > 0 && !isTerminal(result.state)) {
      const budget = waitBudget(call, { seconds: wait, limitMs: limits.syncWaitMs });
      call.onWait?.();
      await scheduler.waitForEnd(executionId.toLowerCase(), budget, call.signal);
      result = await executions.getResult(query, reserve);
    }
    if (result === undefined) {
      throw executionNotFound(executionId);
    }
    setExecutionHeaders(call, executionId, result.state);
    return create(ExecutionResultSchema, {
      response: valueMessage(result.response),
      status: statuses[statusOf(result.state)],
      ...(statusOf(result.state) === "ERRORED" && errorField(result.error)),
    });
  }
}

function startedMessage({ executionId, outcome }: ExecuteResult, { isWaiting }: { readonly isWaiting: boolean }) {
  if (outcome === undefined) {
    const status = isWaiting ? { status: ExecutionResult_Status.RUNNING } : {};
    return create(ExecuteWorkflowResponseSchema, { executionId, ...status });
  }
  if (outcome.state !== "COMPLETED") {
    return create(ExecuteWorkflowResponseSchema, {
      executionId,
      status: ExecutionResult_Status.ERRORED,
      ...errorField(outcome.error),
      // The response that the Response node had set before the failure.
      ...(outcome.response !== undefined && { returnValue: valueMessage(outcome.response) }),
    });
  }
  return create(ExecuteWorkflowResponseSchema, {
    executionId,
    returnValue: valueMessage(outcome.response),
    ...(outcome.statusCode !== undefined && { statusCode: outcome.statusCode }),
  });
}

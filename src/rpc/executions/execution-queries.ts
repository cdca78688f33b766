import { create } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { type ExecutionFilter, type ExecutionSummary, isTerminal } from "../../domain/execution.ts";
import type { Call } from "../../domain/http/call.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import {
  type Execution,
  ExecutionSchema,
  type ExecutionService,
  type ListExecutionsRequest,
  ListExecutionsResponseSchema,
  ListIterationsResponseSchema,
  RerunExecutionResponseSchema,
  RetryNodeResponseSchema,
} from "../../gen/flowcall/v1/execution_pb.ts";
import { executionNotFound } from "../../scheduler/accept/call-errors.ts";
import { writtenPerByte } from "../../scheduler/run/active-runs.ts";
import type { Scheduler } from "../../scheduler/scheduler.ts";
import type { ExecutionQuery, ExecutionReader, FoundExecution } from "../../storage/history/execution-reader.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import type { ServiceHandlers } from "../chain/handler-chain.ts";
import { makeRoom } from "../chain/large-message.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { principalOf, reachOf } from "../chain/principal-of.ts";
import { definitionNodes, definitionViews } from "./definition-nodes.ts";
import { callChainLength } from "./event-headers.ts";
import { tellExecution } from "./execution-headers.ts";
import { detailMessage, nodeRunMessage, sources, states, summaryMessage, types, wordOf } from "./execution-message.ts";
import { nodeViews } from "./node-view.ts";
import { checkReplySize, replyTooLarge } from "./reply-size.ts";

export type ExecutionQueriesOptions = {
  readonly scheduler: Scheduler;
  readonly reader: ExecutionReader;
  readonly workflows: WorkflowStore;
  readonly limits: Limits;
};

type Queries = Pick<
  ServiceHandlers<typeof ExecutionService>,
  "getExecution" | "getNodeRun" | "listExecutions" | "listIterations" | "stopExecution" | "rerunExecution" | "retryNode"
>;

/** What is asked about executions, and of them, after they were started. */
export function executionQueries({ scheduler, reader, workflows, limits }: ExecutionQueriesOptions): Queries {
  /** @param brief how much may be read of what is recorded; where it is more, it is left out */
  const answer = async (query: ExecutionQuery, call: Call, brief?: number): Promise<Execution> => {
    const execution = await reader.get(query);
    if (execution === undefined) throw executionNotFound(query.executionId);
    tellExecution(call, execution.id, execution.state);
    // What has been done is answered all the same.
    if (brief === undefined) await makeRoom(call, [execution.payload, execution.response]);
    const advice = "Ask GetExecutionResponse for the response, GetNodeRun for a node, ListExecutions for the rest.";
    const bytesMax = brief ?? writtenPerByte * limits.recordsBytesMax;
    const listed = await reader.listNodeRuns(foundIn(query, execution), bytesMax);
    if (listed === undefined && brief === undefined) throw replyTooLarge(limits.transportBytesMax, advice);
    const message = detailMessage(execution, listed, await definitionViews(workflows, query.environmentId, execution));
    checkReplySize(ExecutionSchema, message, {
      texts: [execution.payload, execution.response ?? "", JSON.stringify(listed?.runs ?? [])],
      bytesMax: limits.transportBytesMax,
      advice,
    });
    return message;
  };

  const filterOf = async (request: ListExecutionsRequest, call: Call): Promise<ExecutionFilter> => {
    const reach = reachOf(call);
    const { workflow, slug, linkedAccountId, tag, createdSince, createdBefore } = request;
    const reference = workflow === undefined ? undefined : { workflow, ...(slug !== undefined && { slug }) };
    const found = reference && (await workflows.findEver(reach, reference));
    const state = wordOf(states, request.state);
    const source = wordOf(sources, request.source);
    const type = wordOf(types, request.type);
    return {
      ...reach,
      ...(linkedAccountId !== undefined && { linkedAccountId }),
      ...(found !== undefined && { workflowId: found.id }),
      ...(state !== undefined && { state }),
      ...(source !== undefined && { source }),
      ...(type !== undefined && { type }),
      ...(tag !== undefined && { tag }),
      ...(createdSince !== undefined && { createdSince: timestampDate(createdSince) }),
      ...(createdBefore !== undefined && { createdBefore: timestampDate(createdBefore) }),
    };
  };

  return {
    getExecution: async (request, call) => await answer(queryOf(request, call), call),

    listExecutions: async (request, call) => {
      const filter = await filterOf(request, call);
      const page = await reader.list(filter, pageOf(request));
      return create(ListExecutionsResponseSchema, {
        executions: page.executions.map((execution) => summaryMessage(execution)),
        ...nextOf(page),
      });
    },

    stopExecution: async (request, call) => {
      const query = queryOf(request, call);
      const execution = await reader.find(query);
      if (execution === undefined) throw executionNotFound(request.executionId);
      if (!(await scheduler.stopExecution({ ...query, executionId: execution.id }))) {
        throw new RequestError("EXECUTION_ENDED", "The execution has ended already, and cannot be stopped.", {
          metadata: { execution_id: execution.id },
        });
      }
      return await answer(query, call, limits.transportBytesMax);
    },

    rerunExecution: async (request, call) => {
      const query = queryOf(request, call);
      const chain = callChainLength(call.headers, limits);
      const executionId = await scheduler.beginAgain((again) =>
        again.rerun({ ...query, chain }, request.workflowVersion),
      );
      tellExecution(call, executionId, "RUNNING");
      return create(RerunExecutionResponseSchema, { executionId });
    },

    retryNode: async (request, call) => {
      const query = queryOf(request, call);
      const chain = callChainLength(call.headers, limits);
      const executionId = await scheduler.beginAgain((again) => again.retry({ ...query, chain }, request.nodeId));
      tellExecution(call, executionId, "RUNNING");
      return create(RetryNodeResponseSchema, { executionId });
    },

    listIterations: async (request, call) => {
      const query = queryOf(request, call);
      const execution = await reader.find(query);
      if (execution === undefined) throw executionNotFound(request.executionId);
      tellExecution(call, execution.id, execution.state);
      const path = request.nodeId;
      const group = (await definitionNodes(workflows, query.environmentId, execution)).find(
        ({ id }) => id === path.split("/").at(-1),
      );
      if (group?.kind.case !== "group") throw groupNotFound(request);
      const page = await reader.listIterations(foundIn(query, execution), path, pageOf(request));
      const views = nodeViews([group]);
      const message = create(ListIterationsResponseSchema, {
        iterations: page.iterations.map((run) => nodeRunMessage(run, views)),
        ...nextOf(page),
      });
      checkReplySize(ListIterationsResponseSchema, message, {
        texts: [JSON.stringify(page.iterations)],
        bytesMax: limits.transportBytesMax,
        advice: "Ask for a smaller page_size.",
      });
      return message;
    },

    getNodeRun: async (request, call) => {
      const query = queryOf(request, call);
      const execution = await reader.find(query);
      if (execution === undefined) throw executionNotFound(request.executionId);
      tellExecution(call, execution.id, execution.state);
      const run = await reader.getNodeRun(foundIn(query, execution), request.nodeId);
      if (run === undefined) throw nodeRunNotFound(request);
      await makeRoom(call, [run.input, run.output]);
      return nodeRunMessage(run, await definitionViews(workflows, query.environmentId, execution));
    },
  };
}

type Request = { readonly executionId: string; readonly linkedAccountId?: string | undefined };

/** Of a watch token all executions but its own are not found. */
export function queryOf({ executionId, linkedAccountId }: Request, call: Call) {
  const { executionId: only = executionId } = principalOf(call);
  if (only !== executionId) throw executionNotFound(executionId);
  return { ...reachOf(call), executionId, ...(linkedAccountId !== undefined && { linkedAccountId }) };
}

export function foundIn(
  { environmentId }: { readonly environmentId: string },
  { id, state }: ExecutionSummary,
): FoundExecution {
  return { environmentId, id, isEnded: isTerminal(state) };
}

function groupNotFound({ executionId, nodeId }: { readonly executionId: string; readonly nodeId: string }) {
  return new RequestError("RESOURCE_NOT_FOUND", "The workflow of this execution has no Group of this id.", {
    metadata: { execution_id: executionId, node_id: nodeId },
  });
}

function nodeRunNotFound({ executionId, nodeId }: { readonly executionId: string; readonly nodeId: string }) {
  return new RequestError("RESOURCE_NOT_FOUND", "The execution has no record of a run of this node, or none yet.", {
    metadata: { execution_id: executionId, node_id: nodeId },
  });
}

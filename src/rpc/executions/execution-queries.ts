import { create, toJson } from "@bufbuild/protobuf";
import { timestampDate, ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type ExecutionDetail,
  type ExecutionFilter,
  type ExecutionSummary,
  isTerminal,
} from "../../domain/execution.ts";
import type { Call } from "../../domain/http/call.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { NodeViews } from "../../engine/graph/definition-outline.ts";
import {
  type Execution,
  ExecutionSchema,
  type ExecutionService,
  type GetExecutionRequest,
  type GetNodeRunRequest,
  type ListExecutionsRequest,
  ListExecutionsResponseSchema,
  type ListIterationsRequest,
  ListIterationsResponseSchema,
  type RerunExecutionRequest,
  RerunExecutionResponseSchema,
  type ResumeNodeRequest,
  ResumeNodeResponse_Status,
  ResumeNodeResponseSchema,
  type RetryNodeRequest,
  RetryNodeResponseSchema,
  type StopExecutionRequest,
} from "../../gen/flowcall/v1/execution_pb.ts";
import { executionNotFound } from "../../scheduler/accept/call-errors.ts";
import { writtenPerByte } from "../../scheduler/run/active-runs.ts";
import type { VersionCache } from "../../scheduler/run/version-cache.ts";
import type { Scheduler } from "../../scheduler/scheduler.ts";
import { AttemptList } from "../../storage/history/attempt-list.ts";
import type {
  ExecutionQuery,
  ExecutionReader,
  FoundExecution,
  ListedNodeRuns,
} from "../../storage/history/execution-reader.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import { accessScopeOf, callChainLength, principalOf, setExecutionHeaders } from "../chain/handler-call.ts";
import type { ServiceHandlers } from "../chain/handler-chain.ts";
import { makeRoom } from "../chain/large-message.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import {
  attemptMessages,
  detailMessage,
  nodeRunMessage,
  sources,
  states,
  summaryMessage,
  types,
  wordOf,
} from "./execution-message.ts";
import { checkReplySize, replyTooLarge } from "./reply-size.ts";

export type ExecutionQueriesOptions = {
  readonly scheduler: Scheduler;
  readonly reader: ExecutionReader;
  readonly workflows: WorkflowStore;
  readonly versions: VersionCache;
  readonly limits: Limits;
};

type Queries = Pick<
  ServiceHandlers<typeof ExecutionService>,
  | "getExecution"
  | "getNodeRun"
  | "listExecutions"
  | "listIterations"
  | "stopExecution"
  | "resumeNode"
  | "rerunExecution"
  | "retryNode"
>;

/** The handlers of the methods about executions that exist: to read, stop, resume, rerun and retry them. */
export class ExecutionQueries implements Queries {
  readonly #options: ExecutionQueriesOptions;

  constructor(options: ExecutionQueriesOptions) {
    this.#options = options;
  }

  async getExecution(request: GetExecutionRequest, call: Call) {
    const { reader, limits } = this.#options;
    const execution = await reader.get(queryOf(request, call), (bytes) => call.reserveReply?.(bytes));
    if (execution === undefined) {
      throw executionNotFound(request.executionId);
    }
    setExecutionHeaders(call, execution.id, execution.state);
    await makeRoom(call, [execution.payload, execution.response]);
    const bytesMax = writtenPerByte * limits.recordsBytesMax;
    const listed = await reader.listNodeRuns(foundIn(principalOf(call), execution), bytesMax);
    if (listed === undefined) {
      throw replyTooLarge(limits.transportBytesMax, detailAdvice);
    }
    return await this.#detail({ execution, listed }, call);
  }

  async listExecutions(request: ListExecutionsRequest, call: Call) {
    const asked = { ...pageOf(request), ...(request.skip !== undefined && { skip: request.skip }) };
    const page = await this.#options.reader.list(await this.#filterOf(request, call), asked);
    return create(ListExecutionsResponseSchema, {
      executions: page.executions.map((execution) => summaryMessage(execution)),
      ...nextOf(page),
    });
  }

  async stopExecution(request: StopExecutionRequest, call: Call) {
    const { scheduler, reader, limits } = this.#options;
    const query = queryOf(request, call);
    const execution = await scheduler.stopExecution(query);
    if (execution === undefined) {
      throw await this.#stopRefusal(query);
    }
    setExecutionHeaders(call, execution.id, execution.state);
    // It is stopped, whatever can be shown of it: node runs that are too many for a reply are left out.
    const listed = await reader.listNodeRuns(foundIn(query, execution), limits.transportBytesMax);
    return await this.#detail({ execution, listed }, call);
  }

  async resumeNode(request: ResumeNodeRequest, call: Call) {
    const { scheduler } = this.#options;
    const executionId = await scheduler.resumeNode(queryOf(request, call), {
      path: request.nodeId,
      body: request.payload === undefined ? null : toJson(ValueSchema, request.payload),
      headers: {},
      signal: call.signal,
    });
    setExecutionHeaders(call, executionId, "RUNNING");
    return create(ResumeNodeResponseSchema, { executionId, status: ResumeNodeResponse_Status.RESUMED });
  }

  async rerunExecution(request: RerunExecutionRequest, call: Call) {
    const { scheduler, limits } = this.#options;
    const query = { ...queryOf(request, call), chain: callChainLength(call.headers, limits) };
    const executionId = await scheduler.submit((factory) => factory.rerun(query, request.workflowVersion));
    setExecutionHeaders(call, executionId, "RUNNING");
    return create(RerunExecutionResponseSchema, { executionId });
  }

  async retryNode(request: RetryNodeRequest, call: Call) {
    const { scheduler, limits } = this.#options;
    const query = { ...queryOf(request, call), chain: callChainLength(call.headers, limits) };
    const executionId = await scheduler.submit((factory) => factory.retry(query, request.nodeId));
    setExecutionHeaders(call, executionId, "RUNNING");
    return create(RetryNodeResponseSchema, { executionId });
  }

  async listIterations(request: ListIterationsRequest, call: Call) {
    const { reader, versions, limits } = this.#options;
    const query = queryOf(request, call);
    const execution = await findExecution(reader, query, call);
    const { nodeId: path } = request;
    const views = await viewsOf(versions, execution, call);
    if (views.get(path.split("/").at(-1) ?? "")?.isGroup !== true) {
      throw groupNotFound(request);
    }
    const page = await reader.listIterations(foundIn(query, execution), path, pageOf(request));
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
  }

  async getNodeRun(request: GetNodeRunRequest, call: Call) {
    const { reader, versions } = this.#options;
    const query = queryOf(request, call);
    const execution = await findExecution(reader, query, call);
    const attempts = new AttemptList(request.nodeId);
    const reserve = (bytes: number) => call.reserveReply?.(bytes);
    const run = await reader.getNodeRun(foundIn(query, execution), request.nodeId, reserve, attempts);
    if (run === undefined) {
      throw nodeRunNotFound(request);
    }
    await makeRoom(call, [run.input, run.output]);
    const views = await viewsOf(versions, execution, call);
    const message = nodeRunMessage(run, views);
    return Object.assign(message, { attemptList: attemptMessages(attempts.of(run), run, views) });
  }

  async #detail(
    { execution, listed }: { readonly execution: ExecutionDetail; readonly listed: ListedNodeRuns | undefined },
    call: Call,
  ): Promise<Execution> {
    const { versions, limits } = this.#options;
    const message = detailMessage(execution, listed, await viewsOf(versions, execution, call));
    checkReplySize(ExecutionSchema, message, {
      texts: [execution.payload, execution.response ?? "", JSON.stringify(listed?.runs ?? [])],
      bytesMax: limits.transportBytesMax,
      advice: detailAdvice,
    });
    return message;
  }

  /** Why an execution was not stopped. */
  async #stopRefusal(query: ExecutionQuery): Promise<RequestError> {
    const execution = await this.#options.reader.find(query);
    if (execution === undefined) {
      return executionNotFound(query.executionId);
    }
    return new RequestError("EXECUTION_ENDED", "The execution has ended already, and cannot be stopped.", {
      metadata: { execution_id: execution.id },
    });
  }

  async #filterOf(request: ListExecutionsRequest, call: Call): Promise<ExecutionFilter> {
    const access = accessScopeOf(call);
    const { workflow, slug, linkedAccountId, tag, createdSince, createdBefore } = request;
    const { errorReason, errorNodeId, idPrefix, parentExecutionId: parentId } = request;
    const reference = workflow === undefined ? undefined : { workflow, ...(slug !== undefined && { slug }) };
    const found = reference && (await this.#options.workflows.findEver(access, reference));
    const asked = request.state === undefined ? request.states : [request.state];
    const inStates = asked.map((state) => wordOf(states, state)).filter((state) => state !== undefined);
    const source = wordOf(sources, request.source);
    const type = wordOf(types, request.type);
    return {
      ...access,
      ...(linkedAccountId !== undefined && { linkedAccountId }),
      ...(found !== undefined && { workflowId: found.id }),
      ...(inStates.length > 0 && { states: inStates }),
      ...(source !== undefined && { source }),
      ...(type !== undefined && { type }),
      ...(tag !== undefined && { tag }),
      ...(parentId !== undefined && { parentId }),
      ...(createdSince !== undefined && { createdSince: timestampDate(createdSince) }),
      ...(createdBefore !== undefined && { createdBefore: timestampDate(createdBefore) }),
      ...(errorReason !== undefined && { errorReason }),
      ...(errorNodeId !== undefined && { errorNodeId }),
      ...(idPrefix !== undefined && { idPrefix }),
    };
  }
}

/** Names the calls that give the parts of an execution that is too large for one reply. */
const detailAdvice = "Ask GetExecutionResponse for the response, GetNodeRun for a node, ListExecutions for the rest.";

type Request = { readonly executionId: string; readonly linkedAccountId?: string | undefined };

/** The execution that a call asks for. For a watch token all other executions are not found. */
export function queryOf({ executionId, linkedAccountId }: Request, call: Call) {
  const { executionId: only = executionId } = principalOf(call);
  if (only !== executionId) {
    throw executionNotFound(executionId);
  }
  return { ...accessScopeOf(call), executionId, ...(linkedAccountId !== undefined && { linkedAccountId }) };
}

/** Finds an execution, and names it in the reply's headers. Throws RequestError. */
export async function findExecution(
  reader: ExecutionReader,
  query: ExecutionQuery,
  call: Call,
): Promise<ExecutionSummary> {
  const execution = await reader.find(query);
  if (execution === undefined) {
    throw executionNotFound(query.executionId);
  }
  setExecutionHeaders(call, execution.id, execution.state);
  return execution;
}

export function foundIn(
  { environmentId }: { readonly environmentId: string },
  { id, state }: ExecutionSummary,
): FoundExecution {
  return { environmentId, id, isEnded: isTerminal(state) };
}

/** The nodes of the version that ran, as they are shown. */
export async function viewsOf(
  versions: VersionCache,
  { workflowId, version }: ExecutionSummary,
  call: Call,
): Promise<NodeViews> {
  return (await versions.outline(principalOf(call), workflowId, version)).nodes;
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

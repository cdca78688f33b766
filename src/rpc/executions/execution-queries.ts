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
  type GetNodeRunRequest,
  type ListExecutionsRequest,
  ListExecutionsResponseSchema,
  type ListIterationsRequest,
  ListIterationsResponseSchema,
  RerunExecutionResponseSchema,
  RetryNodeResponseSchema,
  type StopExecutionRequest,
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
import { setExecutionHeaders } from "./execution-headers.ts";
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

/** The methods about executions that exist: to read, stop, rerun and retry them. */
export function executionQueries(options: ExecutionQueriesOptions): Queries {
  return {
    getExecution: (request, call) => readExecution(options, queryOf(request, call), call),
    getNodeRun: (request, call) => getNodeRun(options, request, call),
    listExecutions: (request, call) => listExecutions(options, request, call),
    listIterations: (request, call) => listIterations(options, request, call),
    stopExecution: (request, call) => stopExecution(options, request, call),
    rerunExecution: async (request, call) => {
      const origin = { ...queryOf(request, call), chain: callChainLength(call.headers, options.limits) };
      const executionId = await options.scheduler.submit((factory) => factory.rerun(origin, request.workflowVersion));
      setExecutionHeaders(call, executionId, "RUNNING");
      return create(RerunExecutionResponseSchema, { executionId });
    },
    retryNode: async (request, call) => {
      const origin = { ...queryOf(request, call), chain: callChainLength(call.headers, options.limits) };
      const executionId = await options.scheduler.submit((factory) => factory.retry(origin, request.nodeId));
      setExecutionHeaders(call, executionId, "RUNNING");
      return create(RetryNodeResponseSchema, { executionId });
    },
  };
}

/** @param recordsMax bytes of node runs beyond which they are left out; where it is not given, the call is refused instead */
async function readExecution(
  { reader, workflows, limits }: ExecutionQueriesOptions,
  query: ExecutionQuery,
  call: Call,
  recordsMax?: number,
): Promise<Execution> {
  const execution = await reader.get(query);
  if (execution === undefined) throw executionNotFound(query.executionId);
  setExecutionHeaders(call, execution.id, execution.state);
  // A call that has stopped the execution is answered even where its caller holds too many replies.
  if (recordsMax === undefined) await makeRoom(call, [execution.payload, execution.response]);
  const advice = "Ask GetExecutionResponse for the response, GetNodeRun for a node, ListExecutions for the rest.";
  const bytesMax = recordsMax ?? writtenPerByte * limits.recordsBytesMax;
  const listed = await reader.listNodeRuns(foundIn(query, execution), bytesMax);
  if (listed === undefined && recordsMax === undefined) throw replyTooLarge(limits.transportBytesMax, advice);
  const message = detailMessage(execution, listed, await definitionViews(workflows, query.environmentId, execution));
  checkReplySize(ExecutionSchema, message, {
    texts: [execution.payload, execution.response ?? "", JSON.stringify(listed?.runs ?? [])],
    bytesMax: limits.transportBytesMax,
    advice,
  });
  return message;
}

async function getNodeRun({ reader, workflows }: ExecutionQueriesOptions, request: GetNodeRunRequest, call: Call) {
  const query = queryOf(request, call);
  const execution = await findExecution(reader, query, call);
  const run = await reader.getNodeRun(foundIn(query, execution), request.nodeId);
  if (run === undefined) throw nodeRunNotFound(request);
  await makeRoom(call, [run.input, run.output]);
  return nodeRunMessage(run, await definitionViews(workflows, query.environmentId, execution));
}

async function listExecutions(options: ExecutionQueriesOptions, request: ListExecutionsRequest, call: Call) {
  const page = await options.reader.list(await filterOf(options, request, call), pageOf(request));
  return create(ListExecutionsResponseSchema, {
    executions: page.executions.map((execution) => summaryMessage(execution)),
    ...nextOf(page),
  });
}

async function filterOf(
  { workflows }: ExecutionQueriesOptions,
  request: ListExecutionsRequest,
  call: Call,
): Promise<ExecutionFilter> {
  const scope = reachOf(call);
  const { workflow, slug, linkedAccountId, tag, createdSince, createdBefore } = request;
  const reference = workflow === undefined ? undefined : { workflow, ...(slug !== undefined && { slug }) };
  const found = reference && (await workflows.findEver(scope, reference));
  const state = wordOf(states, request.state);
  const source = wordOf(sources, request.source);
  const type = wordOf(types, request.type);
  return {
    ...scope,
    ...(linkedAccountId !== undefined && { linkedAccountId }),
    ...(found !== undefined && { workflowId: found.id }),
    ...(state !== undefined && { state }),
    ...(source !== undefined && { source }),
    ...(type !== undefined && { type }),
    ...(tag !== undefined && { tag }),
    ...(createdSince !== undefined && { createdSince: timestampDate(createdSince) }),
    ...(createdBefore !== undefined && { createdBefore: timestampDate(createdBefore) }),
  };
}

async function listIterations(
  { reader, workflows, limits }: ExecutionQueriesOptions,
  request: ListIterationsRequest,
  call: Call,
) {
  const query = queryOf(request, call);
  const execution = await findExecution(reader, query, call);
  const path = request.nodeId;
  const nodes = await definitionNodes(workflows, query.environmentId, execution);
  const group = nodes.find(({ id }) => id === path.split("/").at(-1));
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
}

async function stopExecution(options: ExecutionQueriesOptions, request: StopExecutionRequest, call: Call) {
  const query = queryOf(request, call);
  const execution = await options.reader.find(query);
  if (execution === undefined) throw executionNotFound(request.executionId);
  if (!(await options.scheduler.stopExecution({ ...query, executionId: execution.id }))) {
    throw new RequestError("EXECUTION_ENDED", "The execution has ended already, and cannot be stopped.", {
      metadata: { execution_id: execution.id },
    });
  }
  return await readExecution(options, query, call, options.limits.transportBytesMax);
}

/** The execution of a call, whose id and status the reply's headers name. Refuses with RESOURCE_NOT_FOUND. */
async function findExecution(reader: ExecutionReader, query: ExecutionQuery, call: Call) {
  const execution = await reader.find(query);
  if (execution === undefined) throw executionNotFound(query.executionId);
  setExecutionHeaders(call, execution.id, execution.state);
  return execution;
}

type Request = { readonly executionId: string; readonly linkedAccountId?: string | undefined };

/** The execution that a call asks for. For a watch token all other executions are not found. */
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

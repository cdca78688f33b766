import { type ExecutionSource, isTerminal, type NewExecution, type NodeRun } from "../../domain/execution.ts";
import { chainHeader, chainLength, chainText } from "../../domain/http/call-chain.ts";
import { newIdAt } from "../../domain/id.ts";
import { checkJson } from "../../domain/json/json-check.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import { nodeAt, retrySeed } from "../../engine/seeds/seed-from-retry.ts";
import type { ExecutionQuery, ExecutionReader } from "../../storage/history/execution-reader.ts";
import type { ConfigStore } from "../../storage/tenants/config-store.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import type { MemoryBudget } from "../limits/memory-budget.ts";
import { startFields } from "../run/field-values.ts";
import { splitFlushes } from "../run/split-flushes.ts";
import { eventOf } from "../run/trigger-event.ts";
import type { VersionCache } from "../run/version-cache.ts";
import { executionNotFound } from "./call-errors.ts";
import { copyRecords, type RecordsOrigin } from "./copied-records.ts";
import type { ExecutionRequest } from "./execute-call.ts";

export type ExecutionFactoryOptions = {
  readonly reader: ExecutionReader;
  readonly workflows: WorkflowStore;
  readonly configs: ConfigStore;
  readonly versions: VersionCache;
  readonly memory: MemoryBudget;
  readonly limits: Limits;
  /** The database's time in milliseconds since 1970, from which executions get their ids. */
  readonly databaseNow: () => number;
};

/** The execution to repeat, and the length of the chain of executions that led to this request, each called by the last. */
export type OriginQuery = ExecutionQuery & { readonly chain: number };

/** Makes executions from earlier ones. All methods throw RequestError. */
export class ExecutionFactory {
  readonly #options: ExecutionFactoryOptions;

  constructor(options: ExecutionFactoryOptions) {
    this.#options = options;
  }

  /** Runs the same payload from the start, in the same version or another one. */
  async rerun(query: OriginQuery, version?: number): Promise<ExecutionRequest> {
    const origin = await this.#getOrigin(query);
    return await this.#prepare({ ...origin, version: version ?? origin.version }, "RERUN");
  }

  /**
   * Retries one node: the new execution has the same payload and all results of the ended one, except those of the node
   * and of what follows it. In a Group that let failures pass only the failed iterations are retried.
   */
  async retry(query: OriginQuery, path: string): Promise<ExecutionRequest> {
    const { reader } = this.#options;
    const origin = await this.#getOrigin(query);
    const summary = await reader.find(query);
    if (summary === undefined || !isTerminal(summary.state)) {
      throw notEnded(origin.id);
    }
    const run = await reader.getNodeRun(origin, path);
    if (run === undefined || path.includes("#")) {
      throw noNodeRun(origin.id, path);
    }
    const request = await this.#prepare(origin, "RETRY");
    // A Group that let failures pass, and a Try & Catch, have succeeded with failures inside.
    let hasFailed = isFailed(run);
    const kind = nodeAt(request.graph, path)?.step.kind;
    if (!hasFailed && kind !== "group" && kind !== "try_catch") {
      throw didNotFail(origin.id, run);
    }
    if (nodeAt(request.graph, path)?.onError === "SKIP" && (await this.#isOfSync(origin))) {
      throw retryNotAllowed(origin.id, path);
    }
    const seed = retrySeed(request.graph, path);
    if (seed === undefined) {
      throw noNodeRun(origin.id, path);
    }
    for await (const runs of reader.readHeads(origin)) {
      for (const one of runs) {
        seed.see(one);
        hasFailed ||= isFailed(one) && isInside(path, one);
      }
    }
    if (!hasFailed) {
      throw didNotFail(origin.id, run);
    }
    return { ...request, flushes: splitFlushes(await this.copyRecords(origin, seed.keeps)) };
  }

  /** Makes the id of a new execution. */
  newId(): string {
    return newIdAt(this.#options.databaseNow());
  }

  /** Copies the records of an ended execution that `keeps` selects. */
  async copyRecords(origin: RecordsOrigin, keeps: (run: NodeRun) => boolean): Promise<readonly NodeRun[]> {
    return await copyRecords(this.#options, origin, keeps);
  }

  /** The values of the configured fields for the row of a new execution. */
  async fieldsOf(graph: Graph, start: Parameters<typeof startFields>[2]): Promise<Pick<NewExecution, "fields">> {
    const { fields } = await startFields(this.#options.configs, graph, start);
    return fields === undefined ? {} : { fields };
  }

  /**
   * Whether an execution is synchronous, or a retry of one: then it has copied results of a run that went on without the
   * failed node. Where the chain of retries is not complete any more, the answer is yes, to be safe.
   */
  async #isOfSync(execution: NewExecution): Promise<boolean> {
    if (execution.type === "SYNC") {
      return true;
    }
    if (execution.source !== "RETRY") {
      return false;
    }
    return (await this.#options.reader.findRetried(execution))?.type !== "ASYNC";
  }

  async #getOrigin({ chain, ...query }: OriginQuery): Promise<NewExecution> {
    const origin = await this.#options.reader.getStart(query);
    if (origin === undefined) {
      throw executionNotFound(query.executionId);
    }
    if (origin.source === "TEST") {
      throw isTest(origin.id);
    }
    return chain === 0 ? origin : { ...origin, headers: this.#chained(origin, chain) };
  }

  /** A rerun that an execution asks for lengthens the chain, as a call does; the chain's limit ends endless loops. */
  #chained(origin: NewExecution, chain: number): JsonText {
    const { headers } = eventOf(origin);
    const length = Math.max(chain, chainLength(headers[chainHeader]));
    const chained = { ...headers, [chainHeader]: chainText(length) };
    return checkJson(chained, { name: "headers", limits: this.#options.limits.payload });
  }

  async #prepare(origin: NewExecution, source: ExecutionSource): Promise<ExecutionRequest> {
    const { workflows, versions } = this.#options;
    const { organizationId, environmentId, workflowId, version, linkedAccountId } = origin;
    const reference = { workflow: workflowId };
    const call = { organizationId, environmentId, reference, version, linkedAccountId };
    const { linkedAccount, slug } = await workflows.resolveCall(call);
    const graph = await versions.get(origin, workflowId, version);
    // The copied results were made with the earlier values.
    const fields = source === "RETRY" ? {} : await this.fieldsOf(graph, { ...origin, slug });
    const execution = { ...origin, ...fields, id: this.newId(), type: "ASYNC" as const, source, originId: origin.id };
    return { execution, graph, linkedAccount, event: eventOf(origin) };
  }
}

function isFailed({ state }: NodeRun): boolean {
  return state === "ERRORED" || state === "ERRORED_AND_SKIPPED" || state === "TIMED_OUT";
}

/** Whether a record is of an iteration of a Group, or of a failure that a Try & Catch has caught. */
function isInside(outer: string, { path }: NodeRun): boolean {
  return path.startsWith(outer) && /^(?:\[\d+\]|#caught)$/.test(path.slice(outer.length));
}

function didNotFail(executionId: string, { path, state }: NodeRun): RequestError {
  return new RequestError(
    "NODE_DID_NOT_FAIL",
    `The node has not failed: its state is ${state}. There is nothing to retry.`,
    {
      metadata: { execution_id: executionId, node_id: path, state },
    },
  );
}

/** A test's given outputs are not kept, so a rerun would run the nodes that they stood for. */
function isTest(executionId: string): RequestError {
  return new RequestError(
    "EXECUTION_IS_TEST",
    "The execution was a test of a draft, and tests cannot be repeated. Test the draft again with the outputs of this test.",
    { metadata: { execution_id: executionId } },
  );
}

function notEnded(executionId: string): RequestError {
  return new RequestError(
    "EXECUTION_NOT_ENDED",
    "The execution has not ended. Wait for its end, or stop it, and try again.",
    {
      metadata: { execution_id: executionId },
    },
  );
}

function retryNotAllowed(executionId: string, path: string): RequestError {
  return new RequestError(
    "NODE_RETRY_NOT_ALLOWED",
    "The execution was synchronous, or a retry of a synchronous one, and went on without this node because of the node's " +
      "setting skip_on_error or on_error. Such a node cannot be retried. Run the workflow again with RerunExecution to run it too.",
    { metadata: { execution_id: executionId, node_id: path } },
  );
}

function noNodeRun(executionId: string, path: string): RequestError {
  return new RequestError("RESOURCE_NOT_FOUND", "The execution has no record of a run of this node.", {
    metadata: { execution_id: executionId, node_id: path },
  });
}

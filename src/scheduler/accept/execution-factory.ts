import { type ExecutionSource, isTerminal, type NewExecution, type NodeRun } from "../../domain/execution.ts";
import { chainHeader, chainLength, chainText } from "../../domain/http/call-chain.ts";
import { newId } from "../../domain/id.ts";
import { checkJson } from "../../domain/json/json-check.ts";
import type { JsonText } from "../../domain/json-text.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import { nodeAt, retrySeed } from "../../engine/seeds/seed-from-retry.ts";
import type { ExecutionQuery, ExecutionReader } from "../../storage/history/execution-reader.ts";
import type { ConfigStore } from "../../storage/tenants/config-store.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import type { RecordMemory } from "../limits/memory-budget.ts";
import { startFields } from "../run/field-values.ts";
import { flushesOf } from "../run/split-flushes.ts";
import { eventOf } from "../run/trigger-event.ts";
import type { VersionCache } from "../run/version-cache.ts";
import { executionNotFound } from "./call-errors.ts";
import { type KeptRecordsOrigin, readKept } from "./copied-records.ts";
import type { Accept } from "./execute-call.ts";

export type AgainOptions = {
  readonly reader: ExecutionReader;
  readonly workflows: WorkflowStore;
  readonly configs: ConfigStore;
  readonly versions: VersionCache;
  readonly memory: RecordMemory;
  readonly limits: Limits;
};

/** Which execution is asked for again, and how many executions led to the request, each called by the one before. */
export type AgainQuery = ExecutionQuery & { readonly chain: number };

/** Makes new executions of earlier ones. Throws RequestError. */
export class Again {
  readonly #options: AgainOptions;

  constructor(options: AgainOptions) {
    this.#options = options;
  }

  /** The same payload, in the version that it ran in or another one. */
  async rerun(query: AgainQuery, version?: number): Promise<Accept> {
    const origin = await this.#getOrigin(query);
    return await this.#prepare({ ...origin, version: version ?? origin.version }, "RERUN");
  }

  /**
   * The same payload, and the results of an ended execution but for those of a node that failed and of what is behind it. Of a
   * Group that let failures pass that is what failed inside.
   */
  async retry(query: AgainQuery, path: string): Promise<Accept> {
    const { reader } = this.#options;
    const origin = await this.#getOrigin(query);
    const summary = await reader.find(query);
    if (summary === undefined || !isTerminal(summary.state)) throw notEnded(origin.id);
    const run = await reader.getNodeRun(origin, path);
    if (run === undefined || path.includes("#")) throw noNodeRun(origin.id, path);
    const accept = await this.#prepare(origin, "RETRY");
    // A Group that let failures pass has ended well, and not all of it has.
    let hasFailed = isFailed(run);
    if (!hasFailed && nodeAt(accept.graph, path)?.step.kind !== "group") throw didNotFail(origin.id, run);
    if (nodeAt(accept.graph, path)?.skipOnError === true && (await this.#isOfSync(origin)))
      throw retryNotAllowed(origin.id, path);
    const seed = retrySeed(accept.graph, path);
    if (seed === undefined) throw noNodeRun(origin.id, path);
    for await (const runs of reader.readHeads(origin)) {
      for (const one of runs) {
        seed.see(one);
        hasFailed ||= isFailed(one) && isIterationOf(path, one);
      }
    }
    if (!hasFailed) throw didNotFail(origin.id, run);
    return { ...accept, flushes: flushesOf(await this.readKept(origin, seed.keeps)) };
  }

  /** What an ended execution has recorded, as far as it is to be taken over. */
  async readKept(origin: KeptRecordsOrigin, keeps: (run: NodeRun) => boolean): Promise<readonly NodeRun[]> {
    return await readKept(this.#options, origin, keeps);
  }

  /** The values of fields that an execution of a graph starts with, for its row. */
  async fieldsOf(graph: Graph, start: Parameters<typeof startFields>[2]): Promise<Pick<NewExecution, "fields">> {
    return await startFields(this.#options.configs, graph, start);
  }

  /**
   * Whether an execution is synchronous, or retries one that is: it has taken over what that one went on without. Where
   * an execution of the chain is not kept any more, nobody knows what it was, and it counts as one.
   */
  async #isOfSync(execution: NewExecution): Promise<boolean> {
    if (execution.type === "SYNC") return true;
    if (execution.source !== "RETRY") return false;
    return (await this.#options.reader.findRetried(execution))?.type !== "ASYNC";
  }

  async #getOrigin({ chain, ...query }: AgainQuery): Promise<NewExecution> {
    const origin = await this.#options.reader.getStart(query);
    if (origin === undefined) throw executionNotFound(query.executionId);
    if (origin.source === "TEST") throw isTest(origin.id);
    return chain === 0 ? origin : { ...origin, headers: this.#chained(origin, chain) };
  }

  /** Whoever starts executions anew from within executions is in a chain too. */
  #chained(origin: NewExecution, chain: number): JsonText {
    const { headers } = eventOf(origin);
    const length = Math.max(chain, chainLength(headers[chainHeader]));
    const chained = { ...headers, [chainHeader]: chainText(length) };
    return checkJson(chained, { name: "headers", limits: this.#options.limits.payload });
  }

  async #prepare(origin: NewExecution, source: ExecutionSource): Promise<Accept> {
    const { workflows, versions } = this.#options;
    const { organizationId, environmentId, workflowId, version, linkedAccountId } = origin;
    const reference = { workflow: workflowId };
    const call = { organizationId, environmentId, reference, version, linkedAccountId };
    const { linkedAccount, slug } = await workflows.resolveCall(call);
    const graph = await versions.get(origin, workflowId, version);
    // Results that are taken over were made with the values of then.
    const fields = source === "RETRY" ? {} : await this.fieldsOf(graph, { ...origin, slug });
    const execution = { ...origin, ...fields, id: newId(), type: "ASYNC" as const, source, originId: origin.id };
    return { execution, graph, linkedAccount, event: eventOf(origin) };
  }
}

function isFailed({ state }: NodeRun): boolean {
  return state === "ERRORED" || state === "ERRORED_AND_SKIPPED" || state === "TIMED_OUT";
}

function isIterationOf(group: string, { path }: NodeRun): boolean {
  return path.startsWith(group) && /^\[\d+\]$/.test(path.slice(group.length));
}

function didNotFail(executionId: string, { path, state }: NodeRun): RequestError {
  return new RequestError("NODE_DID_NOT_FAIL", `The node has not failed, but is ${state}: there is nothing to retry.`, {
    metadata: { execution_id: executionId, node_id: path, state },
  });
}

/** Outputs that stood in for nodes would not do so again. */
function isTest(executionId: string): RequestError {
  return new RequestError(
    "EXECUTION_IS_TEST",
    "The execution was a test of a draft, which cannot be repeated. Test the draft again with the outputs of this one.",
    { metadata: { execution_id: executionId } },
  );
}

function notEnded(executionId: string): RequestError {
  return new RequestError(
    "EXECUTION_NOT_ENDED",
    "The execution goes on. Wait for its end, or stop it, and try again.",
    {
      metadata: { execution_id: executionId },
    },
  );
}

function retryNotAllowed(executionId: string, path: string): RequestError {
  return new RequestError(
    "NODE_RETRY_NOT_ALLOWED",
    "The execution was synchronous, or retries one that was, and went on without this node, as its setting " +
      "skip_on_error says: it may not be retried. Run the workflow again, by RerunExecution, to run this node too.",
    { metadata: { execution_id: executionId, node_id: path } },
  );
}

function noNodeRun(executionId: string, path: string): RequestError {
  return new RequestError("RESOURCE_NOT_FOUND", "The execution has no record of a run of this node.", {
    metadata: { execution_id: executionId, node_id: path },
  });
}

import type { NewExecution } from "../../domain/execution.ts";
import { isTerminal } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import type { ProcessPool } from "../../engine/pool/process-pool.ts";
import { type GivenOutputs, givenSeed, recordedSeed } from "../../engine/seeds/seed-from-outputs.ts";
import type { ExecutionReader } from "../../storage/history/execution-reader.ts";
import type { KeptDraft } from "../../storage/workflows/draft-store.ts";
import { splitFlushes } from "../run/split-flushes.ts";
import { eventOf, type TriggerEvent } from "../run/trigger-event.ts";
import { executionNotFound } from "./call-errors.ts";
import type { ExecutionRequest } from "./execute-call.ts";
import type { ExecutionFactory } from "./execution-factory.ts";

/** A test of a draft in plain types. */
export type DraftTestCall = KeptDraft & {
  readonly organizationId: string;
  readonly environmentId: string;
  readonly workflowId: string;
  /** The workflow's integration. */
  readonly slug: string;
  readonly graph: Graph;
  readonly configId?: string;
  readonly payload: JsonText;
  /** Aborts when the caller goes away. */
  readonly signal: AbortSignal;
  readonly pool: Pick<ProcessPool, "run">;
  readonly headers: JsonText;
  readonly outputs: GivenOutputs;
  readonly outputsOf?: OutputsOf;
};

/** An ended execution of the workflow whose outputs stand in, for these nodes or for all. */
export type OutputsOf = { readonly executionId: string; readonly nodeIds: readonly string[] };

export type DraftTestContext = {
  readonly reader: ExecutionReader;
  readonly factory: ExecutionFactory;
  readonly limits: Limits;
  readonly now: number;
};

/**
 * Makes an execution of a draft. Its journal begins with the outputs that are given for nodes, so that these nodes do not
 * run. Throws RequestError.
 */
export async function prepareDraftTest(call: DraftTestCall, context: DraftTestContext): Promise<ExecutionRequest> {
  const { factory, limits, now } = context;
  const { organizationId, environmentId, workflowId, slug, version, graph, linkedAccount, configId, payload, headers } =
    call;
  const start: NewExecution = {
    id: factory.newId(),
    organizationId,
    environmentId,
    workflowId,
    version,
    linkedAccountId: linkedAccount.id,
    configId: configId ?? linkedAccount.id,
    type: "ASYNC",
    source: "TEST",
    payload,
    headers,
  };
  const execution = { ...start, ...(await factory.fieldsOf(graph, { ...start, slug })) };
  const event: TriggerEvent = eventOf(execution);
  const { pool, signal } = call;
  const path = [organizationId, environmentId] as const;
  await graph.payloadValidator?.check({ payload: event.body, text: payload, path, signal, pool });
  const given = givenSeed(graph, call.outputs, { limits, now });
  const recorded = recordedSeed(graph, await readRecorded(call, context), {
    nodeIds: call.outputsOf?.nodeIds ?? [],
    // Outputs that are given by hand take precedence.
    given: new Set(given.map(({ path }) => path)),
    now,
  });
  return { execution, graph, linkedAccount, event, flushes: splitFlushes([...recorded, ...given]) };
}

async function readRecorded(call: DraftTestCall, context: DraftTestContext) {
  const { organizationId, environmentId, workflowId, outputsOf } = call;
  const { reader, factory } = context;
  if (outputsOf === undefined) {
    return [];
  }
  const { executionId, nodeIds } = outputsOf;
  const summary = await reader.find({ environmentId, executionId });
  if (summary === undefined || summary.workflowId !== workflowId) {
    throw executionNotFound(executionId);
  }
  if (!isTerminal(summary.state)) {
    throw new RequestError(
      "EXECUTION_NOT_ENDED",
      "The execution has not ended. Wait for its end, or stop it, and try again.",
      {
        metadata: { execution_id: summary.id },
      },
    );
  }
  // Only successful runs have an output to give.
  return await factory.copyRecords({ organizationId, environmentId, id: summary.id }, ({ node_id, state }) => {
    return state === "SUCCESS" && (nodeIds.length === 0 || nodeIds.includes(node_id));
  });
}

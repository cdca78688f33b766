import type { JsonObject } from "@bufbuild/protobuf";
import type { Clock } from "../domain/clock.ts";
import type { NodeRun, Outcome } from "../domain/execution.ts";
import { etagMismatch } from "../domain/http/etag-mismatch.ts";
import { checkJson } from "../domain/json/json-check.ts";
import { jsonTextOf, parseJson } from "../domain/json/json-parse.ts";
import type { Limits } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";
import type { Definitions } from "../engine/definitions.ts";
import type { ProcessPool } from "../engine/pool/process-pool.ts";
import type { GivenOutputs } from "../engine/seeds/seed-from-outputs.ts";
import type { WorkflowDefinition } from "../gen/flowcall/v1/definition_pb.ts";
import type { ExecutionQuery, ExecutionReader } from "../storage/history/execution-reader.ts";
import type { DraftStore } from "../storage/workflows/draft-store.ts";
import type { Expected } from "../storage/workflows/workflow-changes.ts";
import { type OutputsOf, prepareDraftTest } from "./accept/prepare-draft-test.ts";
import type { Scheduler } from "./scheduler.ts";

export type DraftTestsOptions = {
  readonly drafts: DraftStore;
  readonly reader: ExecutionReader;
  readonly scheduler: Pick<Scheduler, "submit" | "waitForEnd">;
  readonly definitions: Definitions;
  readonly pool: Pick<ProcessPool, "run">;
  readonly limits: Limits;
  readonly clock: Clock;
};

/** The draft that is to be tested, in a revision that is expected of it, and what the test is given. */
export type DraftTest = Expected & {
  readonly principal: Principal;
  readonly linkedAccountId: string;
  readonly configId?: string;
  /** Where it is absent, that of the execution whose outputs stand in, or else the sample of the "API Call" panel. */
  readonly payload?: JsonObject;
  readonly headers: Readonly<Record<string, string>>;
  /** The values that stand in for nodes. */
  readonly outputs: GivenOutputs;
  readonly outputsOf?: OutputsOf;
  /** Aborts when the caller goes away. */
  readonly signal: AbortSignal;
  /** Called when the test has begun, and the caller does nothing but wait for it from then on. */
  readonly onBegin: (executionId: string) => void;
  /** How long the caller waits from then on. */
  readonly waitMs: () => number;
};

export type DraftTestResult = {
  readonly executionId: string;
  readonly definition: WorkflowDefinition;
  /** Absent where it runs for longer than it was waited for. */
  readonly outcome: Outcome | undefined;
  /** Undefined where they have more bytes than a reply may have. */
  readonly runs: readonly NodeRun[] | undefined;
};

/** Runs drafts without publishing them. */
export class DraftTests {
  readonly #options: DraftTestsOptions;

  constructor(options: DraftTestsOptions) {
    this.#options = options;
  }

  /** Refuses as publishing and accepting do, and with EXECUTION_NOT_ENDED where the outputs of one that goes on are asked for. */
  async run(test: DraftTest): Promise<DraftTestResult> {
    const { reader, scheduler, limits } = this.#options;
    const { definition, executionId } = await this.#begin(test);
    const { principal, waitMs, signal, onBegin } = test;
    onBegin(executionId);
    const outcome = await scheduler.waitForEnd(executionId, waitMs(), signal);
    const found = { environmentId: principal.environmentId, id: executionId, isEnded: outcome !== undefined };
    // As JSON in JSON they take up to four times as much.
    const runs = await reader.listVisits(found, 4 * limits.transportBytesMax);
    return { executionId, definition, outcome, runs };
  }

  async #begin(test: DraftTest): Promise<Pick<DraftTestResult, "definition" | "executionId">> {
    const { drafts, definitions, pool, reader, scheduler, limits, clock } = this.#options;
    const { principal, reference, expectedRevisions, linkedAccountId, headers, signal } = test;
    const { organizationId, environmentId } = principal;
    const path = [organizationId, environmentId] as const;
    const { definition: text, workflowId, slug, revision } = await drafts.find(principal, reference);
    if (expectedRevisions?.includes(revision) === false) {
      throw etagMismatch({ workflow: workflowId });
    }
    const definition = await definitions.parse(text, path);
    await definitions.requireRunnable(text, { workflowId, path, signal });
    const graph = await definitions.load(() => definition, path);
    const kept = await drafts.keep({ environmentId, workflowId, revision, linkedAccountId });
    const { configId, outputs, outputsOf } = test;
    const origin = outputsOf && { environmentId, executionId: outputsOf.executionId };
    const payload = test.payload ?? (origin && (await this.#payloadOf(origin))) ?? graph.samplePayload;
    const call = {
      ...kept,
      organizationId,
      environmentId,
      workflowId,
      slug,
      graph,
      ...(configId !== undefined && { configId }),
      payload: jsonTextOf(payload, { name: "payload", limits: limits.payload, root: "object" }),
      headers: checkJson(headers, { name: "headers", limits: limits.payload }),
      signal,
      pool,
      outputs,
      ...(outputsOf !== undefined && { outputsOf }),
    };
    const now = clock.now();
    const executionId = await scheduler.submit((factory) => prepareDraftTest(call, { reader, factory, limits, now }));
    return { definition, executionId };
  }

  /** The start of an execution. One that is not there is refused where its outputs are asked for. */
  async #payloadOf(query: ExecutionQuery): Promise<JsonObject | undefined> {
    const execution = await this.#options.reader.get(query);
    // The column holds a text whose root was checked to be an object.
    return execution && (parseJson(execution.payload) as JsonObject);
  }
}

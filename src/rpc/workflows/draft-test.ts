import { create, type JsonObject, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Clock } from "../../domain/clock.ts";
import { statusOf } from "../../domain/execution.ts";
import { checkJson } from "../../domain/json/json-check.ts";
import { jsonTextOf, parseJson } from "../../domain/json/json-parse.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Definitions } from "../../engine/definitions.ts";
import type { ProcessPool } from "../../engine/pool/process-pool.ts";
import type { GivenOutputs } from "../../engine/seeds/seed-from-outputs.ts";
import {
  type TestDraftRequest,
  TestDraftResponseSchema,
  type WorkflowService,
} from "../../gen/flowcall/v1/workflow_pb.ts";
import { prepareDraftTest } from "../../scheduler/accept/prepare-draft-test.ts";
import type { Scheduler } from "../../scheduler/scheduler.ts";
import type { ExecutionQuery, ExecutionReader } from "../../storage/history/execution-reader.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import type { ServiceHandlers } from "../chain/handler-chain.ts";
import { principalOf, reachOf, turnOf } from "../chain/principal-of.ts";
import { eventHeaders } from "../executions/event-headers.ts";
import { setExecutionHeaders } from "../executions/execution-headers.ts";
import { errorField, nodeRunMessage, statuses, valueField } from "../executions/execution-message.ts";
import { nodeViews } from "../executions/node-view.ts";
import { checkReplySize, replyTooLarge } from "../executions/reply-size.ts";
import { waitBudget } from "../executions/wait-budget.ts";
import { checkDefinition } from "./check-definition.ts";
import { panelOf, parseDefinition, readDraft } from "./workflow-message.ts";

export type DraftTestOptions = {
  readonly workflows: WorkflowStore;
  readonly reader: ExecutionReader;
  readonly scheduler: Scheduler;
  readonly definitions: Definitions;
  readonly pool: Pick<ProcessPool, "run">;
  readonly limits: Limits;
  readonly clock: Clock;
};

/** Runs drafts without publishing them. */
export function draftTest(options: DraftTestOptions): Pick<ServiceHandlers<typeof WorkflowService>, "testDraft"> {
  const { workflows, reader, scheduler, definitions, pool, limits, clock } = options;
  return {
    testDraft: async (request, call) => {
      const { organizationId, environmentId } = principalOf(call);
      const { linkedAccountId, configId, outputsOf } = request;
      const { workflowId, slug, revision, ...draft } = await readDraft(workflows, reachOf(call), request);
      const definition = await parseDefinition(draft.definition, call);
      const path = turnOf(call);
      await checkDefinition(definition, {
        id: workflowId,
        text: draft.definition,
        definitions,
        path,
        signal: call.signal,
      });
      const graph = await definitions.load(() => definition, path);
      const kept = await workflows.keepDraft({ environmentId, workflowId, revision, linkedAccountId });
      const origin = outputsOf && { environmentId, executionId: outputsOf.executionId };
      const body =
        request.payload ?? (origin && (await payloadOf(reader, origin))) ?? panelOf(definition)?.payload ?? {};
      const headers = eventHeaders(call.headers, limits);
      const test = {
        ...kept,
        organizationId,
        environmentId,
        workflowId,
        slug,
        graph,
        ...(configId !== undefined && { configId }),
        payload: jsonTextOf(body, { name: "payload", limits: limits.payload, root: "object" }),
        headers: checkJson(headers, { name: "headers", limits: limits.payload }),
        signal: call.signal,
        pool,
        outputs: outputsIn(request),
        ...(outputsOf && { outputsOf }),
      };
      const now = clock.now();
      const id = await scheduler.submit((factory) => prepareDraftTest(test, { reader, factory, limits, now }));
      setExecutionHeaders(call, id, "RUNNING");
      const budget = waitBudget(call, { seconds: request.wait, limitMs: limits.syncWaitMs });
      call.onWait?.();
      const outcome = await scheduler.waitForEnd(id, budget, call.signal);
      if (outcome !== undefined) setExecutionHeaders(call, id, outcome.state);
      const advice = `The test ran as the execution ${id}: ask GetExecution and GetNodeRun for its parts.`;
      const found = { environmentId, id, isEnded: outcome !== undefined };
      // As JSON in JSON they take up to four times as much.
      const runs = await reader.listVisits(found, 4 * limits.transportBytesMax);
      if (runs === undefined) throw replyTooLarge(limits.transportBytesMax, advice);
      const views = nodeViews(definition.nodes);
      const message = create(TestDraftResponseSchema, {
        executionId: id,
        status: statuses[statusOf(outcome?.state ?? "RUNNING")],
        ...((outcome?.state === "COMPLETED" || outcome?.response !== undefined) && {
          returnValue: valueField(outcome.response),
        }),
        ...errorField(outcome?.error),
        ...(outcome?.statusCode !== undefined && { statusCode: outcome.statusCode }),
        nodeRuns: runs.map((run) => nodeRunMessage(run, views)),
      });
      checkReplySize(TestDraftResponseSchema, message, {
        texts: [JSON.stringify(runs), outcome?.response ?? ""],
        bytesMax: limits.transportBytesMax,
        advice,
      });
      return message;
    },
  };
}

function outputsIn({ outputs }: TestDraftRequest): GivenOutputs {
  const read = ([path, value]: [string, Value]) =>
    [path, value.kind.case === undefined ? null : toJson(ValueSchema, value)] as const;
  return Object.fromEntries(Object.entries(outputs).map(read));
}

/** What an execution was started with. One that is not there is refused where its outputs are asked for. */
async function payloadOf(reader: ExecutionReader, query: ExecutionQuery): Promise<JsonObject | undefined> {
  const execution = await reader.get(query);
  // The column holds a text whose root was checked to be an object.
  return execution && (parseJson(execution.payload) as JsonObject);
}

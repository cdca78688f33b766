import { create, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { statusOf } from "../../domain/execution.ts";
import type { Call } from "../../domain/http/call.ts";
import { valueMessage } from "../../domain/json/json-parse.ts";
import type { Limits } from "../../domain/limits.ts";
import { outlineOf } from "../../engine/graph/definition-outline.ts";
import type { GivenOutputs } from "../../engine/seeds/seed-from-outputs.ts";
import { type TestDraftRequest, TestDraftResponseSchema } from "../../gen/flowcall/v1/workflow_pb.ts";
import type { DraftTest, DraftTestResult } from "../../scheduler/draft-tests.ts";
import { eventHeaders, principalOf, setExecutionHeaders, waitBudget } from "../chain/handler-call.ts";
import { expectedOf } from "../chain/revision-etag.ts";
import { errorField, nodeRunMessage, statuses } from "../executions/execution-message.ts";
import { checkReplySize, replyTooLarge } from "../executions/reply-size.ts";
import { referenceOf } from "./workflow-message.ts";

/** Unpacks a request for the test of a draft. */
export function draftTestOf(request: TestDraftRequest, call: Call, limits: Limits): DraftTest {
  const { linkedAccountId, configId, payload, outputsOf } = request;
  return {
    reference: referenceOf(request),
    ...expectedOf(request),
    principal: principalOf(call),
    linkedAccountId,
    ...(configId !== undefined && { configId }),
    ...(payload !== undefined && { payload }),
    headers: eventHeaders(call.headers, limits),
    outputs: outputsIn(request),
    ...(outputsOf !== undefined && { outputsOf }),
    signal: call.signal,
    waitMs: () => waitBudget(call, { seconds: request.wait, limitMs: limits.syncWaitMs }),
    onBegin: (executionId) => {
      setExecutionHeaders(call, executionId, "RUNNING");
      call.onWait?.();
    },
  };
}

/** Packs what came of a test. Refuses with REPLY_TOO_LARGE. */
export function draftTestMessage(result: DraftTestResult, call: Call, { transportBytesMax: bytesMax }: Limits) {
  const { executionId, definition, outcome, runs } = result;
  if (outcome !== undefined) {
    setExecutionHeaders(call, executionId, outcome.state);
  }
  const advice = `The test ran as the execution ${executionId}: ask GetExecution and GetNodeRun for its parts.`;
  if (runs === undefined) {
    throw replyTooLarge(bytesMax, advice);
  }
  const views = outlineOf(definition).nodes;
  const message = create(TestDraftResponseSchema, {
    executionId,
    status: statuses[statusOf(outcome?.state ?? "RUNNING")],
    ...((outcome?.state === "COMPLETED" || outcome?.response !== undefined) && {
      returnValue: valueMessage(outcome.response),
    }),
    ...errorField(outcome?.error),
    ...(outcome?.statusCode !== undefined && { statusCode: outcome.statusCode }),
    nodeRuns: runs.map((run) => nodeRunMessage(run, views)),
  });
  const texts = [JSON.stringify(runs), outcome?.response ?? ""];
  checkReplySize(TestDraftResponseSchema, message, { texts, bytesMax, advice });
  return message;
}

function outputsIn({ outputs }: TestDraftRequest): GivenOutputs {
  const read = ([path, value]: [string, Value]) =>
    [path, value.kind.case === undefined ? null : toJson(ValueSchema, value)] as const;
  return Object.fromEntries(Object.entries(outputs).map(read));
}

import { create, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { ExecutionResult_Status as Status } from "../../gen/flowcall/v1/execution_pb.ts";
import { TestDraftRequestSchema, type TestDraftResponse, WorkflowService } from "../../gen/flowcall/v1/workflow_pb.ts";
import type { Context } from "../command/context.ts";
import { errorText } from "../execution/execution-text.ts";
import type { Case } from "../workflow-file/case-file.ts";
import { jsonChanges } from "../workflow-sync/changes.ts";

/** A workflow and its test cases. */
export type Tested = {
  readonly workflow: string;
  readonly slug?: string;
  /** Its name in the output. */
  readonly name: string;
  readonly cases: readonly Case[];
};

export type CaseResult = {
  readonly workflow: string;
  readonly name: string;
  readonly isPassed: boolean;
  readonly problems: readonly string[];
  readonly executionId?: string;
  /** The response, if the case expects none. */
  readonly answer?: string;
};

type Running = { readonly context: Context; readonly outputsOf: string | undefined };

/** Runs a draft once, and lists how the result differs from the case. */
export async function runCase(
  { workflow, slug, name }: Tested,
  item: Case & { readonly account: string },
  { context, outputsOf }: Running,
): Promise<CaseResult> {
  const client = await context.connect();
  const request = create(TestDraftRequestSchema, {
    workflow,
    linkedAccountId: item.account,
    outputs: Object.fromEntries(
      Object.entries(item.outputs).map(([id, output]) => [id, fromJson(ValueSchema, output)]),
    ),
    ...(slug !== undefined && { slug }),
    ...(item.payload !== undefined && { payload: item.payload }),
    ...(outputsOf !== undefined && { outputsOf: { executionId: outputsOf } }),
  });
  const reply = await client.unary(WorkflowService.method.testDraft, request, { signal: context.signal });
  const problems = problemsOf(item, reply);
  return {
    workflow: name,
    name: item.name,
    isPassed: problems.length === 0,
    problems,
    executionId: reply.executionId,
    ...(item.expect === undefined && item.error === undefined && { answer: JSON.stringify(answerOf(reply)) }),
  };
}

function problemsOf(item: Case, reply: TestDraftResponse): readonly string[] {
  const { status, error, statusCode } = reply;
  if (status === Status.RUNNING) {
    return ["it still runs: the server waits no longer for a test"];
  }
  if (item.error !== undefined) {
    if (status === Status.COMPLETED) {
      return [`expected the error ${item.error}, got the response ${answerText(reply)}`];
    }
    return error?.reason === item.error ? [] : [`expected ${item.error}, got ${errorText(error)}`];
  }
  if (status !== Status.COMPLETED) {
    return [errorText(error)];
  }
  const answer = answerOf(reply);
  const changes = item.expect === undefined ? [] : jsonChanges(item.expect, answer);
  const other = item.statusCode !== undefined && item.statusCode !== (statusCode ?? 200);
  return [
    ...changes.map(({ path, before, after }) => {
      const place = path === "" ? "" : `${path}: `;
      return `${place}expected ${textOf(before)}, got ${textOf(after)}`;
    }),
    ...(other ? [`status_code: expected ${item.statusCode}, got ${statusCode ?? 200}`] : []),
  ];
}

function textOf(json: JsonValue | undefined): string {
  return json === undefined ? "nothing" : JSON.stringify(json);
}

function answerOf({ returnValue }: TestDraftResponse): JsonValue {
  return returnValue === undefined ? null : toJson(ValueSchema, returnValue);
}

function answerText(reply: TestDraftResponse): string {
  return JSON.stringify(answerOf(reply));
}

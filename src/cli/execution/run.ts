import { type JsonObject, toJson } from "@bufbuild/protobuf";
import {
  type ExecuteWorkflowResponse,
  ExecuteWorkflowResponseSchema,
  ExecutionService,
  ExecutionResult_Status as Status,
} from "../../gen/flowcall/v1/execution_pb.ts";
import { accountOption, type Command, curlOption, slugOption } from "../command/command.ts";
import { type Context, send } from "../command/context.ts";
import type { Arguments } from "../command-line/arguments.ts";
import { dataText, parseJson } from "../input/json-input.ts";
import { usageError } from "../output/cli-error.ts";
import { type ExitCode, exitCodes } from "../output/exit-codes.ts";
import type { Output } from "../output/output.ts";
import { accountOf, type Settings } from "../settings/settings.ts";
import { errorText } from "./execution-text.ts";

export const run: Command = {
  name: "run",
  summary: "Runs a workflow; prints the execution's id, or, with --sync or --wait, the workflow's response.",
  positionals: ["ALIAS|ID"],
  options: {
    data: { type: "string", short: "d", value: "JSON|@FILE|-", help: "the payload; - is stdin" },
    sync: { type: "boolean", help: "waits for the end (sync_execution)" },
    wait: { type: "string", value: "SECONDS", help: "waits at most so long, 0 to 60, as 10 or 10s" },
    ...accountOption,
    ...slugOption,
    key: { type: "string", value: "KEY", help: "the idempotency key: repeated calls start one execution" },
    config: { type: "string", value: "ID", help: "the configuration of the account" },
    tag: { type: "string", value: "TAG", help: "a label to find the execution by" },
    version: { type: "string", value: "N", help: "runs this published version instead of the current one" },
    ...curlOption,
  },
  example: `flowcall run create-task --account john@acme.io --sync -d '{"Task Name": "Call home"}'`,

  async run(given, context) {
    const payload = given.text("data");
    const json = payload === undefined ? {} : parseJson(await dataText(payload, context.stdin), "--data");
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw usageError("--data must be a JSON object: it becomes the workflow's event.body.");
    }
    const request = { ...fieldsOf(given, context.settings), payload: json };
    const show = (reply: ExecuteWorkflowResponse) => showReply(reply, context);
    return await send(context, given, ExecutionService.method.executeWorkflow, request, show);
  },
};

function fieldsOf(given: Arguments, settings: Settings) {
  const { slug } = settings;
  const [wait, version] = [given.text("wait"), given.number("version")];
  const [idempotencyKey, configId, tag] = [given.text("key"), given.text("config"), given.text("tag")];
  return {
    workflow: given.word(0),
    linkedAccountId: accountOf(settings),
    ...(slug !== undefined && { slug }),
    ...(given.isSet("sync") && { syncExecution: true }),
    ...(wait !== undefined && { wait: secondsOf(wait) }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    ...(configId !== undefined && { configId }),
    ...(tag !== undefined && { tag }),
    ...(version !== undefined && { workflowVersion: version }),
  };
}

function secondsOf(text: string): number {
  const [, digits, unit] = /^(\d{1,3})(s|m)?$/.exec(text) ?? [];
  if (digits === undefined) {
    throw usageError(`--wait takes whole seconds or minutes, as 10, 10s or 1m, not ${JSON.stringify(text)}.`);
  }
  return Number(digits) * (unit === "m" ? 60 : 1);
}

/** A call that did not wait prints an id. A call that waited prints the response, or why there is none. */
function showReply(reply: ExecuteWorkflowResponse, { output }: Context): ExitCode {
  const { executionId, returnValue, status, error } = reply;
  // The JSON of a reply message is an object.
  const json = toJson(ExecuteWorkflowResponseSchema, reply) as JsonObject;
  if (status === Status.ERRORED) {
    output.value(json, "");
    noteFailure(output, `${executionId} failed: ${errorText(error)}\nSee: flowcall get ${executionId}`);
    return exitCodes.notCompleted;
  }
  if (status === Status.RUNNING || returnValue === undefined) {
    output.value(json, executionId);
    if (status !== Status.RUNNING) {
      return exitCodes.done;
    }
    output.note(`It is still running. See: flowcall watch ${executionId}`);
    return exitCodes.stillRunning;
  }
  output.value(json, JSON.stringify(json["return_value"], undefined, 2));
  if (output.format === "text") {
    output.note(executionId);
  }
  return exitCodes.done;
}

/** With `-o json` the printed reply has the error already. */
function noteFailure(output: Output, text: string): void {
  if (output.format === "text") {
    output.note(text);
  }
}

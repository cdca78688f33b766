import { type JsonObject, toJson } from "@bufbuild/protobuf";
import {
  ConsoleLine_LevelSchema,
  type Execution,
  ExecutionSchema,
  ExecutionService,
  type NodeRun,
  NodeRunSchema,
  NodeRun_StateSchema as NodeStateSchema,
} from "../../gen/flowcall/v1/execution_pb.ts";
import type { Client } from "../client/client.ts";
import { type Command, curlOption } from "../command/command.ts";
import { send } from "../command/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { printable } from "../output/output.ts";
import { executionArgument, ofAccountOption } from "./execution-argument.ts";
import { durationText, errorText, member, nodeRunText, timeText, wordOf } from "./execution-text.ts";
import { groupFailures, pathOf } from "./failed-node.ts";
import { failureLines } from "./failure-text.ts";
import { workflowNames, workflowText } from "./workflow-names.ts";

const service = ExecutionService.method;

export const get: Command = {
  name: "get",
  summary: "Shows an execution, or the run of one of its nodes.",
  positionals: ["ID"],
  options: {
    node: {
      type: "string",
      value: "NODE",
      help: "shows one node's run with its output; in a Group by its path, as 4[12]/7",
    },
    ...ofAccountOption,
    ...curlOption,
  },
  example: "flowcall get 66e404464f475f36c0c95b5d",

  async run(given, context) {
    const { output, signal } = context;
    const request = executionArgument(given);
    const word = given.text("node");
    if (word === undefined) {
      return await send(context, given, service.getExecution, request, async (execution) => {
        const text =
          output.format === "text" ? output.paint(await executionText(execution, await context.connect())) : "";
        output.value(toJson(ExecutionSchema, execution), text);
        return exitCodes.done;
      });
    }
    const client = await context.connect();
    const nodeId = given.isSet("curl")
      ? word
      : await pathOf(client, await client.unary(service.getExecution, request, { signal }), word);
    return await send(context, given, service.getNodeRun, { ...request, nodeId }, (nodeRun) => {
      // The JSON of a message of ours is an object.
      const json = toJson(NodeRunSchema, nodeRun) as JsonObject;
      const notes = nodeRun.notes.map((note) => `\n  ${printable(note)}`).join("");
      const console = nodeRun.console
        .map(({ level, text }) => `\n  ${wordOf(ConsoleLine_LevelSchema, level)} ${printable(text)}`)
        .join("");
      // A failed node has no output; null is an output.
      const body = json["output"] === undefined ? "" : `\n${JSON.stringify(json["output"], undefined, 2)}`;
      const failure = failureLines(nodeRun, json)
        .map((line) => `\n  ${line}`)
        .join("");
      output.value(json, `${output.paint(nodeRunText({ ...nodeRun, notes: [] }))}${notes}${console}${failure}${body}`);
      return exitCodes.done;
    });
  },
};

async function executionText(execution: Execution, client: Client): Promise<string> {
  const { workflowId, workflowVersion, createTime, endTime, error, nodeRuns } = execution;
  const [names, failures] = await Promise.all([workflowNames(client, [workflowId]), groupFailures(client, execution)]);
  // The JSON of a message of ours is an object.
  const json = toJson(ExecutionSchema, execution) as JsonObject;
  const facts = [
    ["id", execution.id],
    ["state", member(json, "state")],
    ["workflow", workflowText(names.get(workflowId) ?? workflowId, workflowVersion)],
    ["account", execution.linkedAccountId],
    ["type", `${member(json, "type")} ${member(json, "source")}`],
    ["tag", execution.tag],
    ["rerun of", execution.rerunOf],
    ["retry of", execution.retryOf],
    ["parent", execution.parentExecutionId && `${execution.parentExecutionId} ${execution.parentPath}`],
    ["created", timeText(createTime)],
    ["ended", endTime && `${timeText(endTime)} after ${durationText(createTime, endTime)}`],
    ["payload", shortened(JSON.stringify(json["payload"] ?? {}))],
    ["status", execution.statusCode === undefined ? undefined : String(execution.statusCode)],
    ["response", "response" in json ? shortened(JSON.stringify(json["response"])) : undefined],
    ["error", error && errorText(error)],
  ] as const;
  const lines = facts.flatMap(([name, text]) => (text === undefined ? [] : [`${name.padEnd(9)} ${printable(text)}`]));
  const failed = await failedRun(client, execution);
  const stateWidth = Math.max(...nodeRuns.map(({ state }) => wordOf(NodeStateSchema, state).length));
  const runs = nodeRuns.flatMap((run) => [
    // The notes are printed in full below, so they are not counted here.
    `  ${nodeRunText({ ...run, notes: [] }, stateWidth)}`,
    ...run.notes.map((note) => `      note: ${printable(note)}`),
    ...(failures.get(run.path) ?? []).map((failure) => `      ${nodeRunText(failure)}`),
    ...(failed?.path === run.path ? failureLines(failed, toJson(NodeRunSchema, failed)) : []).map(
      (line) => `      ${line}`,
    ),
  ]);
  return [...lines, ...runs].join("\n");
}

/** The run whose failure ended the execution, with what was sent and tried. */
async function failedRun(client: Client, { id, error, nodeRuns }: Execution): Promise<NodeRun | undefined> {
  const run = error && nodeRuns.find(({ path }) => path === error.nodeId);
  // It may have been deleted since.
  return run && (await client.unary(service.getNodeRun, { executionId: id, nodeId: run.path }).catch(() => undefined));
}

/** Longer texts are cut here; `-o json` prints them whole. */
const lettersMax = 1_000;

function shortened(text: string): string {
  return text.length <= lettersMax
    ? text
    : `${text.slice(0, lettersMax)}… (${text.length} characters; -o json shows all)`;
}

import { type JsonObject, toJson } from "@bufbuild/protobuf";
import {
  type Execution,
  ExecutionSchema,
  ExecutionService,
  NodeRunSchema,
} from "../../gen/flowcall/v1/execution_pb.ts";
import { type Command, curlOption } from "../frame/command.ts";
import { send } from "../frame/context.ts";
import { exitCodes } from "../said/exit-codes.ts";
import { printable } from "../said/output.ts";
import { durationText, errorText, member, nodeRunText, timeText } from "./execution-text.ts";
import { guard, guarded } from "./guard.ts";

const service = ExecutionService.method;

export const get: Command = {
  name: "get",
  summary: "Says all that is known of an execution, or of one of its nodes.",
  positionals: ["ID"],
  options: {
    node: { type: "string", value: "NODE", help: "a node's run with its output; in a Group its path, as 4[12]/7" },
    ...guard,
    ...curlOption,
  },
  example: "flowcall get 66e404464f475f36c0c95b5d",

  async run(given, context) {
    const { output } = context;
    const request = guarded(given);
    const nodeId = given.text("node");
    if (nodeId === undefined) {
      return await send(context, given, service.getExecution, request, (execution) => {
        output.value(toJson(ExecutionSchema, execution), executionText(execution));
        return exitCodes.done;
      });
    }
    return await send(context, given, service.getNodeRun, { ...request, nodeId }, (nodeRun) => {
      // The JSON of a message of ours is an object.
      const json = toJson(NodeRunSchema, nodeRun) as JsonObject;
      const notes = nodeRun.notes.map((note) => `\n  ${printable(note)}`).join("");
      output.value(json, `${nodeRunText(nodeRun)}${notes}\n${JSON.stringify(json["output"] ?? null, undefined, 2)}`);
      return exitCodes.done;
    });
  },
};

function executionText(execution: Execution): string {
  const { createTime, endTime, error, nodeRuns, notedRuns = 0 } = execution;
  // The JSON of a message of ours is an object.
  const json = toJson(ExecutionSchema, execution) as JsonObject;
  const facts = [
    ["id", execution.id],
    ["state", member(json, "state")],
    ["workflow", `${execution.workflowId} v${execution.workflowVersion}`],
    ["account", execution.linkedAccountId],
    ["type", `${member(json, "type")} ${member(json, "source")}`],
    ["tag", execution.tag],
    ["rerun of", execution.rerunOf],
    ["retry of", execution.retryOf],
    ["created", timeText(createTime)],
    ["ended", endTime && `${timeText(endTime)} after ${durationText(createTime, endTime)}`],
    ["payload", JSON.stringify(json["payload"] ?? {})],
    ["response", "response" in json ? JSON.stringify(json["response"]) : undefined],
    ["error", error && errorText(error)],
    [
      "notes",
      notedRuns > 0 ? `of ${notedRuns} node runs, which flowcall get ${execution.id} --node NODE shows` : undefined,
    ],
  ] as const;
  const lines = facts.flatMap(([name, text]) => (text === undefined ? [] : [`${name.padEnd(9)} ${printable(text)}`]));
  return [...lines, ...nodeRuns.map((nodeRun) => `  ${nodeRunText(nodeRun)}`)].join("\n");
}

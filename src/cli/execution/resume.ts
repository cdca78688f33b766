import { fromJson, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { ExecutionService, ResumeNodeResponseSchema } from "../../gen/flowcall/v1/execution_pb.ts";
import { type Command, curlOption } from "../command/command.ts";
import { send } from "../command/context.ts";
import { dataText, parseJson } from "../input/json-input.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { executionArgument, ofAccountOption } from "./execution-argument.ts";

const service = ExecutionService.method;

export const resume: Command = {
  name: "resume",
  summary: "Ends the wait of a Wait for Webhook node as a call of its URL does.",
  positionals: ["ID", "NODE"],
  options: {
    data: {
      type: "string",
      short: "d",
      value: "JSON|@FILE|-",
      help: "the body; - is stdin, null if absent",
    },
    ...ofAccountOption,
    ...curlOption,
  },
  example: "flowcall resume 66e404464f475f36c0c95b5d 3 -d '{\"approved\": true}'",

  async run(given, context) {
    const data = given.text("data");
    const text = data === undefined ? "null" : await dataText(data, context.stdin);
    const payload = fromJson(ValueSchema, parseJson(text, "--data"));
    const request = { ...executionArgument(given), nodeId: given.word(1), payload };
    return await send(context, given, service.resumeNode, request, (reply) => {
      context.output.value(toJson(ResumeNodeResponseSchema, reply), `${reply.executionId} RESUMED`);
      return exitCodes.done;
    });
  },
};

import { toJson } from "@bufbuild/protobuf";
import { ExecutionService, RerunExecutionResponseSchema } from "../../gen/flowcall/v1/execution_pb.ts";
import { type Command, curlOption } from "../command/command.ts";
import { send } from "../command/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { executionArgument, ofAccountOption } from "./execution-argument.ts";

const service = ExecutionService.method;

export const rerun: Command = {
  name: "rerun",
  summary: "Starts a new execution with the payload of an earlier one; prints its id.",
  positionals: ["ID"],
  options: {
    version: { type: "string", value: "N", help: "the published version to run; the earlier one's if absent" },
    ...ofAccountOption,
    ...curlOption,
  },
  example: "flowcall rerun 66e404464f475f36c0c95b5d",

  async run(given, context) {
    const workflowVersion = given.number("version");
    const request = { ...executionArgument(given), ...(workflowVersion !== undefined && { workflowVersion }) };
    return await send(context, given, service.rerunExecution, request, (reply) => {
      context.output.value(toJson(RerunExecutionResponseSchema, reply), reply.executionId);
      return exitCodes.done;
    });
  },
};

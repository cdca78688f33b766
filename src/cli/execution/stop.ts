import { toJson } from "@bufbuild/protobuf";
import { ExecutionSchema, ExecutionService } from "../../gen/flowcall/v1/execution_pb.ts";
import { type Command, curlOption } from "../command/command.ts";
import { send } from "../command/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { executionArgument, ofAccountOption } from "./execution-argument.ts";

const service = ExecutionService.method;

export const stop: Command = {
  name: "stop",
  summary: "Stops an execution.",
  positionals: ["ID"],
  options: { ...ofAccountOption, ...curlOption },
  example: "flowcall stop 66e404464f475f36c0c95b5d",

  async run(given, context) {
    return await send(context, given, service.stopExecution, executionArgument(given), (execution) => {
      context.output.value(toJson(ExecutionSchema, execution), `${execution.id} STOPPED`);
      return exitCodes.done;
    });
  },
};

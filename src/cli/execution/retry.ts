import { toJson } from "@bufbuild/protobuf";
import { ExecutionService, RetryNodeResponseSchema } from "../../gen/flowcall/v1/execution_pb.ts";
import { type Command, curlOption } from "../frame/command.ts";
import { send } from "../frame/context.ts";
import { exitCodes } from "../said/exit-codes.ts";
import { guard, guarded } from "./guard.ts";

const service = ExecutionService.method;

export const retry: Command = {
  name: "retry",
  summary: "Tries a node of an ended execution again, and all behind it, as a new execution; prints its id.",
  positionals: ["ID", "NODE"],
  options: { ...guard, ...curlOption },
  example: "flowcall retry 66e404464f475f36c0c95b5d 3",

  async run(given, context) {
    const request = { ...guarded(given), nodeId: given.word(1) };
    return await send(context, given, service.retryNode, request, (reply) => {
      context.output.value(toJson(RetryNodeResponseSchema, reply), reply.executionId);
      return exitCodes.done;
    });
  },
};

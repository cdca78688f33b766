import { toJson } from "@bufbuild/protobuf";
import { ExecutionService, RetryNodeResponseSchema } from "../../gen/flowcall/v1/execution_pb.ts";
import { type Command, curlOption } from "../command/command.ts";
import { send } from "../command/context.ts";
import { usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { executionArgument, ofAccountOption } from "./execution-argument.ts";
import { anyFailedNode, failedNode, pathOf } from "./failed-node.ts";

const service = ExecutionService.method;

export const retry: Command = {
  name: "retry",
  summary: "Starts a new execution that runs the failed node and all nodes after it again; prints its id.",
  positionals: ["ID", "NODE?"],
  options: {
    failed: { type: "boolean", help: "also failures that were skipped: a node, or a Group's iterations" },
    ...ofAccountOption,
    ...curlOption,
  },
  example: "flowcall retry 66e404464f475f36c0c95b5d --failed",

  async run(given, context) {
    const [, word] = given.positionals;
    if (word !== undefined && given.isSet("failed")) {
      throw usageError("Give either a node or --failed, not both.");
    }
    const client = await context.connect();
    const { signal } = context;
    const execution = await client.unary(service.getExecution, executionArgument(given), { signal });
    const isAny = given.isSet("failed");
    const found = isAny ? async () => await anyFailedNode(client, execution) : async () => failedNode(execution);
    const nodeId = word === undefined ? await found() : await pathOf(client, execution, word);
    const request = { ...executionArgument(given), nodeId };
    return await send(context, given, service.retryNode, request, (reply) => {
      if (context.output.format === "text") {
        context.output.note(`Running ${nodeId} again.`);
      }
      context.output.value(toJson(RetryNodeResponseSchema, reply), reply.executionId);
      return exitCodes.done;
    });
  },
};

import { toJson } from "@bufbuild/protobuf";
import { ExecutionService, RetryNodeResponseSchema } from "../../gen/flowcall/v1/execution_pb.ts";
import { type Command, curlOption } from "../command/command.ts";
import { send } from "../command/context.ts";
import { usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { guard, guarded } from "./execution-argument.ts";
import { anyFailedNode, failedNode, pathOf } from "./failed-node.ts";

const service = ExecutionService.method;

export const retry: Command = {
  name: "retry",
  summary: "Tries what failed in an ended execution again, and all behind it, as a new execution; prints its id.",
  positionals: ["ID", "NODE?"],
  options: {
    failed: { type: "boolean", help: "what failed and was let pass too: a skipped node, a Group's iterations" },
    ...guard,
    ...curlOption,
  },
  example: "flowcall retry 66e404464f475f36c0c95b5d --failed",

  async run(given, context) {
    const [, word] = given.positionals;
    if (word !== undefined && given.isSet("failed")) throw usageError("Name a node, or say --failed: not both.");
    const client = await context.connect();
    const { signal } = context;
    const execution = await client.unary(service.getExecution, guarded(given), { signal });
    const isAny = given.isSet("failed");
    const found = isAny ? async () => await anyFailedNode(client, execution) : async () => failedNode(execution);
    const nodeId = word === undefined ? await found() : await pathOf(client, execution, word);
    const request = { ...guarded(given), nodeId };
    return await send(context, given, service.retryNode, request, (reply) => {
      if (context.output.format === "text") context.output.note(`Tries ${nodeId} again.`);
      context.output.value(toJson(RetryNodeResponseSchema, reply), reply.executionId);
      return exitCodes.done;
    });
  },
};

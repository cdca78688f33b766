import { type DescMessage, type Message, toJson } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { WorkflowProblemsSchema } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { BadRequestSchema, ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.ts";
import type { ApiAnswer } from "./protocols.ts";

/** A reply message as the JSON doors write it. */
export function replyAnswer(schema: DescMessage, message: Message, headers: Headers): ApiAnswer {
  return { message: toJson(schema, message, { alwaysEmitImplicit: true }), headers };
}

/** A refusal as its code and its `google.rpc` details tell it. */
export function refusalAnswer(failure: ConnectError): ApiAnswer {
  const problems = failure.findDetails(WorkflowProblemsSchema)[0]?.problems ?? [];
  const violations = failure.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
  return {
    code: Code[failure.code],
    reason: failure.findDetails(ErrorInfoSchema)[0]?.reason ?? "",
    text: failure.rawMessage,
    problems: problems.map(({ nodeId, field }) => ({ ...(nodeId !== undefined && { node_id: nodeId }), field })),
    violations: violations.map(({ field }) => field),
    headers: failure.metadata,
  };
}

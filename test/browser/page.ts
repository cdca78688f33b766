import { fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import {
  ExecuteWorkflowRequestSchema,
  ExecuteWorkflowResponseSchema,
  ExecutionService,
} from "../../src/gen/flowcall/v1/execution_pb.ts";
import { BadRequestSchema, ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.ts";

/*
 * What runs inside the web page of `browser.test.ts`, bundled. Everything goes in and comes out as JSON, since the
 * test's process and the page share nothing else.
 */

/** A call of ExecuteWorkflow, with a key or without one. */
export type PageCall = {
  readonly url: string;
  readonly protocol: "gRPC-Web" | "Connect JSON" | "REST";
  readonly key?: string;
  readonly workflow: string;
  readonly payload: JsonObject;
};

/** What the page could read of the reply: nothing, a value, or why it was refused. */
export type PageAnswer =
  | { readonly kind: "nothing" }
  | { readonly kind: "value"; readonly message: unknown; readonly executionId: string | null }
  | { readonly kind: "refusal"; readonly reason: string | undefined; readonly fields: readonly string[] };

const linked_account_id = "john@acme.io";

export async function execute(call: PageCall): Promise<PageAnswer> {
  const options = { baseUrl: call.url };
  switch (call.protocol) {
    case "gRPC-Web":
      return executeOver(createGrpcWebTransport(options), call);
    case "Connect JSON":
      return executeOver(createConnectTransport({ ...options, useBinaryFormat: false }), call);
    case "REST":
      return executeOverRest(call);
  }
}

async function executeOver(transport: Transport, call: PageCall): Promise<PageAnswer> {
  const { workflow, payload } = call;
  const request = fromJson(ExecuteWorkflowRequestSchema, {
    workflow,
    payload,
    linked_account_id,
    sync_execution: true,
  });
  let executionId: string | null = null;
  try {
    const reply = await createClient(ExecutionService, transport).executeWorkflow(request, {
      headers: keyHeader(call),
      onHeader: (headers) => {
        executionId = headers.get("x-execution-id");
      },
    });
    return { kind: "value", message: toJson(ExecuteWorkflowResponseSchema, reply), executionId };
  } catch (error) {
    const refusal = ConnectError.from(error);
    const [info] = refusal.findDetails(ErrorInfoSchema);
    // A browser tells a page that a reply is not for its eyes with an error of its own and no details.
    if (info === undefined && refusal.cause instanceof TypeError && refusal.code === Code.Unknown) {
      return { kind: "nothing" };
    }
    const violations = refusal.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
    return { kind: "refusal", reason: info?.reason, fields: violations.map(({ field }) => field) };
  }
}

async function executeOverRest(call: PageCall): Promise<PageAnswer> {
  const headers = { ...keyHeader(call), "content-type": "application/json", linked_account_id, sync_execution: "true" };
  const body = JSON.stringify(call.payload);
  let reply: Response;
  try {
    reply = await fetch(`${call.url}/api/v1/workflow/${call.workflow}/execute`, { method: "POST", headers, body });
  } catch {
    return { kind: "nothing" };
  }
  const message: unknown = await reply.json();
  if (reply.ok) {
    return { kind: "value", message, executionId: reply.headers.get("x-execution-id") };
  }
  const { error_code, details } = Object(message);
  const violations: readonly { readonly field: string }[] = details?.violations ?? [];
  return { kind: "refusal", reason: error_code, fields: violations.map(({ field }) => field) };
}

function keyHeader({ key }: PageCall): Record<string, string> {
  return key === undefined ? {} : { "x-api-key": key };
}

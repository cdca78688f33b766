import { create, type Message } from "@bufbuild/protobuf";
import { systemClock } from "../../src/domain/clock.ts";
import type { Invoke, InvokeStream } from "../../src/domain/http/call.ts";
import type { ProtocolHandler } from "../../src/domain/http/protocol-handler.ts";
import { valueMessage } from "../../src/domain/json/json-parse.ts";
import { scanJson } from "../../src/domain/json/json-scan.ts";
import { defaultLimits } from "../../src/domain/limits.ts";
import { createGateway } from "../../src/gateway/gateway.ts";
import type { ReplyRule, ReplyTable } from "../../src/gateway/reply-table.ts";
import {
  type ExecuteWorkflowResponse,
  ExecuteWorkflowResponseSchema,
  ExecutionResultSchema,
  ExecutionService,
} from "../../src/gen/flowcall/v1/execution_pb.ts";
import { WorkflowSchema, WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { type GatewayServer, serveHandler } from "./gateway-server.ts";

export const execute = "/api/v1/workflow/create-task/execute";
export const json = { "content-type": "application/json" };

/** A value as its workflow spelt it. */
export const spaced = '{"success" : "true"}';

export const replies: ReplyTable = new Map<string, ReplyRule>([
  [
    ExecutionResultSchema.typeName,
    () => ({
      status: 500,
      headers: { "x-from-table": "yes" },
      body: {
        kind: "error" as const,
        error: { error_code: "WORKFLOW_ERRORED", message: "It failed.", members: { execution_id: "1" } },
      },
    }),
  ],
  [
    WorkflowSchema.typeName,
    (message: Message) => ({ status: 201, headers: { location: "/x" }, body: { kind: "message" as const, message } }),
  ],
]);

/** What the page's call answers. */
export function answer(): ExecuteWorkflowResponse {
  return create(ExecuteWorkflowResponseSchema, {
    executionId: "66e404464f475f36c0c95b5d",
    returnValue: valueMessage(scanJson(Buffer.from(spaced), { name: "", limits: defaultLimits.output })),
  });
}

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: unknown;
};

/** What stands for the chain where no method streams. */
export const noStream: InvokeStream = async function* (method) {
  yield await Promise.reject(new Error(`${method.name} does not stream`));
};

/** A gateway whose methods do what the test says, and which remembers what they were asked. */
export class RecordingGateway {
  invoke: Invoke = async () => answer();
  asked: readonly [method: string, request: Message] | undefined;
  readonly reported: unknown[] = [];
  readonly handler: ProtocolHandler = createGateway({
    services: [ExecutionService, WorkflowService],
    invoke: (method, request, call) => {
      this.asked = [method.name, request];
      return this.invoke(method, request, call);
    },
    invokeStream: noStream,
    limits: defaultLimits,
    clock: systemClock,
    replies,
    report: (error) => this.reported.push(error),
  });

  async fetch(server: GatewayServer, path: string, init: RequestInit): Promise<Answer> {
    this.asked = undefined;
    const response = await fetch(server.url + path, init);
    const text = await response.text();
    const body: unknown = text === "" ? undefined : JSON.parse(text);
    return { status: response.status, headers: response.headers, text, body };
  }

  serve(version: "1.1" | "2" = "1.1"): Promise<GatewayServer> {
    return serveHandler(this.handler, version);
  }
}

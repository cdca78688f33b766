import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { create, fromBinary, type JsonObject, toBinary, toJson } from "@bufbuild/protobuf";
import { credentials, Metadata, makeGenericClientConstructor } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ExecuteWorkflowRequestSchema,
  ExecuteWorkflowResponseSchema,
  ExecutionService,
} from "../src/gen/flowcall/v1/execution_pb.ts";
import { type Flowcall, startFlowcall, testKey } from "./support/flowcall.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");

/** The machine's own Python, whose gRPC is Debian's; CI installs it (`.ci/run`). */
const python = "/usr/bin/python3";
const grpcPlugin = "/usr/bin/grpc_python_plugin";
const isPythonThere = existsSync(python) && existsSync(grpcPlugin) && existsSync("/usr/lib/python3/dist-packages/grpc");

let flowcall: Flowcall;
let address: string;

beforeAll(async () => {
  flowcall = await startFlowcall();
  address = flowcall.url.replace("http://", "");
});

afterAll(async () => flowcall?.stop());

describe("clients of other makers run ExecuteWorkflow", () => {
  test("grpc-js", async () => {
    const { executeWorkflow } = ExecutionService.method;
    const Client = makeGenericClientConstructor(
      {
        executeWorkflow: {
          path: `/${ExecutionService.typeName}/${executeWorkflow.name}`,
          requestStream: false,
          responseStream: false,
          requestSerialize: (request) => Buffer.from(toBinary(ExecuteWorkflowRequestSchema, request)),
          requestDeserialize: (bytes: Buffer) => fromBinary(ExecuteWorkflowRequestSchema, bytes),
          responseSerialize: (response) => Buffer.from(toBinary(ExecuteWorkflowResponseSchema, response)),
          responseDeserialize: (bytes: Buffer) => fromBinary(ExecuteWorkflowResponseSchema, bytes),
        },
      },
      "ExecutionService",
    );
    const client = new Client(address, credentials.createInsecure());
    const metadata = new Metadata();
    metadata.set("x-api-key", testKey);
    metadata.set("linked_account_id", "john@acme.io");
    const request = create(ExecuteWorkflowRequestSchema, {
      workflow: "create-task",
      syncExecution: true,
      payload: { "Task Name": "From grpc-js" },
    });
    const reply = await new Promise<JsonObject>((resolve, reject) => {
      client["executeWorkflow"]?.(request, metadata, (error: Error | null, response: never) =>
        error === null ? resolve(Object(toJson(ExecuteWorkflowResponseSchema, response))) : reject(error),
      );
    });
    client.close();
    expect(reply).toEqual({
      return_value: { success: "true", new_note: "From grpc-js" },
      execution_id: expect.stringMatching(/^[0-9a-f]{24}$/),
    });
  });

  test.skipIf(!isPythonThere && process.env["CI"] === undefined)(
    "Python, with code generated from the protos",
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "flowcall-python-"));
      try {
        const protos = [
          "flowcall/v1/options.proto",
          "flowcall/v1/execution.proto",
          "google/api/annotations.proto",
          "google/api/http.proto",
          "buf/validate/validate.proto",
        ];
        await run("/usr/bin/protoc", [
          ...["proto", "proto/third_party"].map((dir) => `-I${join(root, dir)}`),
          `--python_out=${folder}`,
          `--grpc_python_out=${folder}`,
          `--plugin=protoc-gen-grpc_python=${grpcPlugin}`,
          ...protos,
        ]);
        const program = `
import sys, json, grpc
sys.path.insert(0, ${JSON.stringify(folder)})
from google.protobuf.json_format import MessageToDict
from flowcall.v1 import execution_pb2, execution_pb2_grpc
stub = execution_pb2_grpc.ExecutionServiceStub(grpc.insecure_channel(${JSON.stringify(address)}))
request = execution_pb2.ExecuteWorkflowRequest(workflow="create-task", linked_account_id="john@acme.io", sync_execution=True)
request.payload.update({"Task Name": "From Python", "Assigned_to": "Jane"})
metadata = [("x-api-key", ${JSON.stringify(testKey)})]
print(json.dumps(MessageToDict(stub.ExecuteWorkflow(request, metadata=metadata))))
try:
    stub.ExecuteWorkflow(request, metadata=[("x-api-key", "tkwrongwrongwrongwrong")])
except grpc.RpcError as error:
    print(error.code().name)
`;
        const { stdout } = await run(python, ["-c", program], { env: { PATH: "/usr/bin:/bin" } });
        const [reply = "", code] = stdout.trim().split("\n");
        expect(JSON.parse(reply)).toEqual({
          return_value: { success: "true", new_note: "From Python (assigned to Jane)" },
          execution_id: expect.stringMatching(/^[0-9a-f]{24}$/),
        });
        expect(code).toBe("UNAUTHENTICATED");
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  );
});

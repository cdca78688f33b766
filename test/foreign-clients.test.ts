import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import {
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { credentials, Metadata, makeGenericClientConstructor } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultLimits } from "../src/domain/limits.ts";
import { ExecutionService } from "../src/gen/flowcall/v1/execution_pb.ts";
import { type Flowcall, putWorkflow, startFlowcall, testKey } from "./support/flowcall.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");

/** The machine's own Python, whose gRPC is Debian's; CI installs it (`.ci/run`). */
const python = "/usr/bin/python3";
const grpcPlugin = "/usr/bin/grpc_python_plugin";
const isPythonThere = existsSync(python) && existsSync(grpcPlugin) && existsSync("/usr/lib/python3/dist-packages/grpc");
const isPythonLeftOut = !isPythonThere && process.env["CI"] === undefined;

const { executeWorkflow, getExecution, getExecutionResponse, getNodeRun } = ExecutionService.method;
const linked_account_id = "john@acme.io";
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);

/** One unary call by a client with its maker's default settings: fields and reply as JSON. */
type Client = (method: DescMethodUnary, fields: JsonObject) => Promise<JsonObject>;

let flowcall: Flowcall;
let address: string;
/** Holds the Python code that is generated from the protos. */
let folder: string;

beforeAll(async () => {
  flowcall = await startFlowcall();
  address = flowcall.url.replace("http://", "");
  folder = await mkdtemp(join(tmpdir(), "flowcall-python-"));
  if (!isPythonLeftOut) {
    await generatePython();
  }
  await putWorkflow(flowcall.url, { alias: "echo", definition: queryDefinition("{{event.body}}") });
  const deeper = JSON.stringify(nested(depthAround)).replace("1", "{{event.body}}");
  await putWorkflow(flowcall.url, { alias: "deeper", definition: queryDefinition(deeper) });
});

afterAll(async () => {
  await flowcall?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Start → Transform → Response, so that a node run has the value too. */
function queryDefinition(query: string): JsonObject {
  return {
    nodes: [
      { id: "1", name: "Start", start: { api_call: {} } },
      { id: "2", name: "Query", transform: { query } },
      { id: "3", name: "Response", response: { data: "{{node.2.body}}" } },
    ],
    edges: [
      { source: "1", target: "2" },
      { source: "2", target: "3" },
    ],
  };
}

async function generatePython(): Promise<void> {
  await run("/usr/bin/protoc", [
    ...["proto", "proto/third_party"].map((dir) => `-I${join(root, dir)}`),
    `--python_out=${folder}`,
    `--grpc_python_out=${folder}`,
    `--plugin=protoc-gen-grpc_python=${grpcPlugin}`,
    "flowcall/v1/options.proto",
    "flowcall/v1/execution.proto",
    "google/api/annotations.proto",
    "google/api/http.proto",
    "buf/validate/validate.proto",
  ]);
}

/** Runs a program that has a `stub` and answers the lines it prints. */
async function runPython(program: string): Promise<readonly string[]> {
  const head = `
import sys, json, grpc
sys.path.insert(0, ${JSON.stringify(folder)})
from google.protobuf.json_format import MessageToDict, ParseDict
from flowcall.v1 import execution_pb2, execution_pb2_grpc
stub = execution_pb2_grpc.ExecutionServiceStub(grpc.insecure_channel(${JSON.stringify(address)}))
metadata = [("x-api-key", ${JSON.stringify(testKey)})]
`;
  const options = { env: { PATH: "/usr/bin:/bin" }, maxBuffer: 64 * 1024 ** 2 };
  const { stdout } = await run(python, ["-c", head + program], options);
  return stdout.trim().split("\n");
}

const callPython: Client = async (method, fields) => {
  // An argument has not the room for a large call.
  const file = join(folder, "fields.json");
  await writeFile(file, JSON.stringify(fields));
  const [reply = ""] = await runPython(`
request = ParseDict(json.load(open(${JSON.stringify(file)})), execution_pb2.${method.input.name}())
print(json.dumps(MessageToDict(stub.${method.name}(request, metadata=metadata), preserving_proto_field_name=True)))
`);
  return JSON.parse(reply);
};

const callGrpcJs: Client = async (method, fields) => {
  const write = (desc: DescMessage) => (message: Message) => Buffer.from(toBinary(desc, message));
  const read = (desc: DescMessage) => (bytes: Buffer) => fromBinary(desc, bytes);
  const definition = {
    path: `/${ExecutionService.typeName}/${method.name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: write(method.input),
    requestDeserialize: read(method.input),
    responseSerialize: write(method.output),
    responseDeserialize: read(method.output),
  };
  const GrpcClient = makeGenericClientConstructor({ [method.localName]: definition }, "ExecutionService");
  const client = new GrpcClient(address, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set("x-api-key", testKey);
  // What a header may say is said in one here; Python's client sets the field.
  const { linked_account_id: account, ...rest } = fields;
  if (typeof account === "string") {
    metadata.set("linked_account_id", account);
  }
  try {
    return await new Promise<JsonObject>((resolve, reject) => {
      const request = fromJson(method.input, rest);
      client[method.localName]?.(request, metadata, (error: Error | null, response: Message) =>
        error === null ? resolve(Object(toJson(method.output, response))) : reject(error),
      );
    });
  } finally {
    client.close();
  }
};

test.skipIf(isPythonLeftOut)(
  "code generated for Python runs ExecuteWorkflow, and is told a refusal's code",
  async () => {
    const [reply = "", code] = await runPython(`
request = execution_pb2.ExecuteWorkflowRequest(workflow="create-task", linked_account_id="john@acme.io", sync_execution=True)
request.payload.update({"Task Name": "From Python", "Assigned_to": "Jane"})
print(json.dumps(MessageToDict(stub.ExecuteWorkflow(request, metadata=metadata))))
try:
    stub.ExecuteWorkflow(request, metadata=[("x-api-key", "tkwrongwrongwrongwrong")])
except grpc.RpcError as error:
    print(error.code().name)
`);
    expect(JSON.parse(reply)).toEqual({
      return_value: { success: "true", new_note: "From Python (assigned to Jane)" },
      execution_id: anId,
    });
    expect(code).toBe("UNAUTHENTICATED");
  },
);

/** Objects take more messages than arrays: a Struct, an entry and a Value for each. */
function nested(depth: number, innermost: JsonValue = 1): JsonObject {
  let value = innermost;
  for (let level = 1; level < depth; level += 1) {
    value = { a: value };
  }
  return { a: value };
}

/** As large as a value may be, in the form that grows the most in binary: members with numbers of one digit. */
function largest(): JsonObject {
  const { bytesMax, valuesMax, keysMax } = defaultLimits.payload;
  const objects = Math.ceil(valuesMax / keysMax);
  // The other values are the root, the objects and the rest.
  const keys = Math.floor((valuesMax - objects - 2) / objects);
  const members = Array.from({ length: keys }, (_, key) => [`${key}`.padStart(15, "k"), key % 10] as const);
  const whole = Array.from({ length: objects }, (_, index) => [`${index}`, Object.fromEntries(members)] as const);
  const value = { ...Object.fromEntries(whole), rest: "" };
  return { ...value, rest: "x".repeat(bytesMax - JSON.stringify(value).length) };
}

const clients: readonly (readonly [string, Client, boolean])[] = [
  ["grpc-js", callGrpcJs, false],
  ["Python", callPython, isPythonLeftOut],
];
const depthMax = defaultLimits.payload.depthMax;
const depthAround = defaultLimits.output.depthMax - depthMax;
const values: readonly (readonly [string, string, JsonObject, JsonObject])[] = [
  ["the deepest payload", "echo", nested(depthMax), nested(depthMax)],
  ["the deepest response", "deeper", nested(depthMax), nested(depthAround, nested(depthMax))],
  ["the largest payload and response", "echo", largest(), largest()],
];

describe.each(clients)("%s, with its default settings, reads", (_, call, isLeftOut) => {
  test.skipIf(isLeftOut).each(values)("%s, by each call that answers it", async (_, workflow, payload, value) => {
    const fields = { workflow, linked_account_id, sync_execution: true, payload };
    const { execution_id = "", ...reply } = await call(executeWorkflow, fields);
    expect(reply).toEqual({ return_value: value });
    const { response } = await call(getExecutionResponse, { execution_id, linked_account_id });
    expect(response).toEqual(value);
    const { output } = await call(getNodeRun, { execution_id, node_id: "2" });
    expect(output).toEqual(value);
    const execution = await call(getExecution, { execution_id });
    expect([execution["payload"], execution["response"]]).toEqual([payload, value]);
  });
});

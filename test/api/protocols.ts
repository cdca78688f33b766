import {
  type DescMethod,
  type DescMethodUnary,
  fromJson,
  getOption,
  hasOption,
  type JsonObject,
  type JsonValue,
  toJson,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { header as headerOption } from "../../src/gen/flowcall/v1/options_pb.ts";
import { WorkflowProblemsSchema } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { http } from "../../src/gen/google/api/annotations_pb.ts";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.ts";

/** A call as a case of the table states it: fields by their proto names, header-mapped ones among them. */
export type ApiCall = {
  readonly method: DescMethodUnary;
  readonly fields: JsonObject;
  /** Sent beside the key, and in place of the field that a header fills. Values may repeat a name. */
  readonly headers?: readonly (readonly [string, string])[];
  readonly key?: string;
};

/** What came back, in words that every protocol has. */
export type ApiAnswer = {
  /** The reply message as JSON; absent for a refusal. */
  readonly message?: JsonValue;
  readonly code?: string;
  readonly reason?: string;
  readonly text?: string;
  /** What a definition that cannot be published has wrong. */
  readonly problems?: readonly { readonly node_id?: string; readonly field: string }[];
  /** REST alone. */
  readonly status?: number;
  readonly headers: Headers;
};

export type ApiProtocol = {
  readonly name: string;
  call(call: ApiCall): Promise<ApiAnswer>;
};

/** Every way in. Header-mapped fields travel as headers over REST and in the message elsewhere. */
export function protocolsOf(url: string): readonly ApiProtocol[] {
  return [
    { name: "REST", call: (call) => callRest(url, call) },
    overTransport("Connect JSON", createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat: false })),
    overTransport("Connect binary", createConnectTransport({ baseUrl: url, httpVersion: "2", useBinaryFormat: true })),
    overTransport("gRPC-Web", createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" })),
    overTransport("gRPC", createGrpcTransport({ baseUrl: url })),
  ];
}

function overTransport(name: string, transport: Transport): ApiProtocol {
  return {
    name,
    call: async ({ method, fields, headers = [], key }) => {
      const header = new Headers(key === undefined ? {} : { "x-api-key": key });
      for (const [headerName, value] of headers) header.append(headerName, value);
      try {
        const request = fromJson(method.input, fields);
        const reply = await transport.unary(method, undefined, 20_000, header, request);
        const message = toJson(method.output, reply.message, { alwaysEmitImplicit: true });
        return { message, headers: reply.header };
      } catch (error) {
        const failure = ConnectError.from(error);
        return {
          code: Code[failure.code],
          reason: failure.findDetails(ErrorInfoSchema)[0]?.reason ?? "",
          text: failure.rawMessage,
          problems:
            failure.findDetails(WorkflowProblemsSchema)[0]?.problems.map((problem) => ({
              ...(problem.nodeId !== undefined && { node_id: problem.nodeId }),
              field: problem.field,
            })) ?? [],
          headers: failure.metadata,
        };
      }
    },
  };
}

async function callRest(url: string, { method, fields, headers = [], key }: ApiCall): Promise<ApiAnswer> {
  const rule = getOption(method, http);
  const template = rule.pattern.case === "custom" ? "" : (rule.pattern.value ?? "");
  const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(fields[name])));
  const inPath = new Set([...template.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
  const header = new Headers(key === undefined ? {} : { "x-api-key": key });
  const rest: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (inPath.has(name)) continue;
    const mapped = headerNameOf(method, name);
    if (mapped === undefined) rest[name] = value;
    else header.append(mapped, String(value));
  }
  for (const [name, value] of headers) header.append(name, value);
  const body = rule.body === "*" ? rest : rest[rule.body];
  const query = rule.body === "" ? `?${new URLSearchParams(Object.entries(rest).map(([k, v]) => [k, String(v)]))}` : "";
  if (body !== undefined) header.set("content-type", "application/json");
  const reply = await fetch(`${url}${path}${query}`, {
    method: (rule.pattern.case ?? "get").toUpperCase(),
    headers: header,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const json: JsonObject = JSON.parse((await reply.text()) || "{}");
  if (typeof json["error_code"] !== "string") return { message: json, status: reply.status, headers: reply.headers };
  return {
    reason: json["error_code"],
    text: String(json["message"]),
    problems: Object(json["details"]).problems ?? [],
    status: reply.status,
    headers: reply.headers,
    message: json,
  };
}

function headerNameOf(method: DescMethod, field: string): string | undefined {
  const desc = method.input.fields.find(({ name }) => name === field);
  return desc !== undefined && hasOption(desc, headerOption) ? getOption(desc, headerOption).name : undefined;
}

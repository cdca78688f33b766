import { gunzipSync, gzipSync } from "node:zlib";
import {
  type DescMethod,
  type DescMethodUnary,
  fromJson,
  getOption,
  hasOption,
  type JsonObject,
  type JsonValue,
} from "@bufbuild/protobuf";
import { ConnectError, type Transport } from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { type HeaderRule, header as headerOption } from "../../src/gen/flowcall/v1/options_pb.ts";
import { http } from "../../src/gen/google/api/annotations_pb.ts";
import { type HttpVersion, sendRequest } from "../support/http-request.ts";
import { refusalAnswer, replyAnswer } from "./connect-answer.ts";
import { callGrpcWebText } from "./grpc-web-text.ts";

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
  /** The fields of the request that are not as they should be. */
  readonly violations?: readonly string[];
  /** REST alone. */
  readonly status?: number;
  readonly headers: Headers;
};

export type ApiProtocol = {
  readonly name: string;
  call(call: ApiCall): Promise<ApiAnswer>;
};

/** A way in: a protocol, the HTTP beneath it, and whether requests and replies are packed with gzip. */
type Way = {
  readonly name: string;
  readonly protocol: (typeof protocolNames)[number];
  readonly version: HttpVersion;
  readonly isPacked: boolean;
};

const protocolNames = ["REST", "Connect JSON", "Connect binary", "gRPC-Web", "gRPC-Web text", "gRPC"] as const;

/** Each protocol once, and between them both versions of HTTP. */
export function protocolsOf(url: string): readonly ApiProtocol[] {
  const overHttp2 = new Set(["Connect binary", "gRPC-Web text", "gRPC"]);
  return protocolNames.map((protocol) => {
    const version = overHttp2.has(protocol) ? "2" : "1.1";
    return protocolOf(url, { name: protocol, protocol, version, isPacked: false });
  });
}

/** Every way in. gRPC needs HTTP/2, the others do not mind. */
export function allWaysOf(url: string): readonly ApiProtocol[] {
  return protocolNames.flatMap((protocol) => {
    const versions: readonly HttpVersion[] = protocol === "gRPC" ? ["2"] : ["1.1", "2"];
    return versions.flatMap((version) =>
      [false, true].map((isPacked) => {
        const name = `${protocol} over HTTP/${version}${isPacked ? " with gzip" : ""}`;
        return protocolOf(url, { name, protocol, version, isPacked });
      }),
    );
  });
}

/** Header-mapped fields travel as headers over REST and in the message elsewhere. */
function protocolOf(url: string, way: Way): ApiProtocol {
  const { name, protocol, version, isPacked } = way;
  const packing = isPacked ? { sendCompression: compressionGzip, compressMinBytes: 0 } : {};
  const common = { baseUrl: url, acceptCompression: isPacked ? [compressionGzip] : [], ...packing };
  const options =
    version === "2" ? { ...common, httpVersion: "2" as const } : { ...common, httpVersion: "1.1" as const };
  switch (protocol) {
    case "REST":
      return { name, call: (call) => callRest(url, way, call) };
    case "Connect JSON":
    case "Connect binary":
      return overTransport(
        name,
        createConnectTransport({ ...options, useBinaryFormat: protocol === "Connect binary" }),
      );
    case "gRPC-Web":
      return overTransport(name, createGrpcWebTransport(options));
    case "gRPC-Web text":
      return { name, call: (call) => callGrpcWebText(url, way, call) };
    case "gRPC":
      return overTransport(name, createGrpcTransport(common));
  }
}

function overTransport(name: string, transport: Transport): ApiProtocol {
  return {
    name,
    call: async ({ method, fields, headers = [], key }) => {
      const header = new Headers(key === undefined ? {} : { "x-api-key": key });
      for (const [headerName, value] of headers) {
        header.append(headerName, value);
      }
      try {
        const request = fromJson(method.input, fields);
        const reply = await transport.unary(method, undefined, 20_000, header, request);
        return replyAnswer(method.output, reply.message, reply.header);
      } catch (error) {
        return refusalAnswer(ConnectError.from(error));
      }
    },
  };
}

async function callRest(
  url: string,
  { version, isPacked }: Way,
  { method, fields, headers = [], key }: ApiCall,
): Promise<ApiAnswer> {
  const rule = getOption(method, http);
  const template = rule.pattern.case === "custom" ? "" : (rule.pattern.value ?? "");
  const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(fields[name])));
  const inPath = new Set([...template.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
  const header: (readonly [string, string])[] = key === undefined ? [] : [["x-api-key", key]];
  const rest: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (inPath.has(name)) {
      continue;
    }
    const mapped = headerRuleOf(method, name);
    if (mapped === undefined) {
      rest[name] = value;
    } else {
      header.push([mapped.name, mapped.preference ? `${mapped.preference}=${value}` : String(value)]);
    }
  }
  const body = rule.body === "*" ? rest : rest[rule.body];
  // A list is a parameter for each item.
  const parameters = Object.entries(rest).flatMap(([name, value]) =>
    [value].flat().map((item) => [name, String(item)]),
  );
  const query = rule.body === "" ? `?${new URLSearchParams(parameters)}` : "";
  if (body !== undefined) {
    header.push(["content-type", "application/json"]);
  }
  if (body !== undefined && isPacked) {
    header.push(["content-encoding", "gzip"]);
  }
  if (isPacked) {
    header.push(["accept-encoding", "gzip"]);
  }
  const text = body === undefined ? "" : JSON.stringify(body);
  const reply = await sendRequest(url, version, {
    method: (rule.pattern.case ?? "get").toUpperCase(),
    path: `${path}${query}`,
    headers: [...header, ...headers],
    body: isPacked && body !== undefined ? gzipSync(text) : text,
  });
  const bytes = reply.headers.get("content-encoding") === "gzip" ? gunzipSync(reply.body) : reply.body;
  const json: JsonObject = JSON.parse(bytes.toString() || "{}");
  if (typeof json["error_code"] !== "string") {
    return { message: json, status: reply.status, headers: reply.headers };
  }
  return {
    reason: json["error_code"],
    text: String(json["message"]),
    problems: Object(json["details"]).problems ?? [],
    violations: (Object(json["details"]).violations ?? []).map(({ field }: { field: string }) => field),
    status: reply.status,
    headers: reply.headers,
    message: json,
  };
}

function headerRuleOf(method: DescMethod, field: string): HeaderRule | undefined {
  const desc = method.input.fields.find(({ name }) => name === field);
  return desc !== undefined && hasOption(desc, headerOption) ? getOption(desc, headerOption) : undefined;
}

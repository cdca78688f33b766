import type { RequestListener } from "node:http";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { serve, startClient } from "./http/outside.ts";
import { begin, ended, type NodeJson, type RunOptions, start } from "./workflow.ts";

export type CallOptions = RunOptions & {
  readonly http?: JsonObject;
  readonly settings?: JsonObject;
  readonly onRequest?: RequestListener;
  /** What the Response answers; the status and the body by default. */
  readonly data?: string;
};

const statusAndBody = '{"status": {{node.c.status}}, "body": {{node.c.body}}}';

/** A server of the test's own, and Start → HTTP node `c` → Response that calls it. `{{event.body.host}}` is its URL. */
export async function beginCall(options: CallOptions = {}) {
  const { http, settings, onRequest, data = statusAndBody, body, ...rest } = options;
  const server = await serve(onRequest);
  const client = await startClient({ allow: `127.0.0.1:${server.port}` });
  const host = `http://127.0.0.1:${server.port}`;
  const node: NodeJson = {
    id: "c",
    ...(settings && { settings }),
    http: { method: "GET", url: `${host}/`, ...withHost(http ?? {}, host) },
  };
  const nodes = [start, node, { id: "r", response: { data } }];
  const begun = begin(nodes, ["start > c", "c > r"], { ...rest, body: { host, ...body }, client });
  return { ...begun, server, host, nodes };
}

/** The same, to its end. */
export async function call(options: CallOptions = {}) {
  const { outcome, journal, server } = await beginCall(options);
  return { ...ended(await outcome, journal), requests: server.requests };
}

/** The keys under which the requests came. */
export function keysOf(requests: readonly { readonly headers: JsonLike }[]): readonly unknown[] {
  return requests.map(({ headers }) => headers["idempotency-key"]);
}

type JsonLike = Readonly<Record<string, unknown>>;

function withHost(http: JsonObject, host: string): JsonObject {
  const url: JsonValue | undefined = http["url"];
  return typeof url === "string" ? { ...http, url: url.replace("HOST", host) } : http;
}

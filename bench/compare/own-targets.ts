import { spawn } from "node:child_process";
import { once } from "node:events";
import pg from "pg";
import { startAttacked } from "../attack/server.ts";
import { end, payload, type Target } from "./target.ts";

const key = "tkb5b9f358-4160-4fea-a926-cf52b271489d";

/** An ExecuteWorkflowRequest with the same payload and `sync_execution`, framed for gRPC, in base64. */
const frame =
  "AAAAAHcKC2NyZWF0ZS10YXNrElEKGgoJVGFzayBOYW1lEg0aC1NhbXBsZSB0YXNrChgKCkNyZWF0ZWRfYXQSChoIMjAyNC0yLTEKGQoLQXNzaWduZWRfdG8S" +
  "ChoISm9obiBEb2UaDGpvaG5AYWNtZS5pbyIFYXNhbmEoAQ==";

const grpcPath = "/flowcall.v1.ExecutionService/ExecuteWorkflow";

/** Flowcall as `npm start` runs it, on its embedded Postgres, with a rate limit that the load does not reach. */
export async function startFlowcall(workers = 1): Promise<Target> {
  const server = await startAttacked(process.cwd(), {
    NODE_OPTIONS: "",
    NODE_ENV: "production",
    FLOWCALL_EXAMPLES: "true",
    FLOWCALL_TEST_KEY: key,
    FLOWCALL_KEY_REQUESTS_MAX: "1000000",
    ...(workers > 1 && { FLOWCALL_WORKERS: String(workers) }),
  });
  const client = new pg.Client(server.connection);
  await client.connect();
  const count = async (query: string) => Number((await client.query<{ count: string }>(query)).rows[0]?.count);
  const headers = { "x-api-key": key, linked_account_id: "john@acme.io", slug: "asana" };
  const http = { protocol: "http", url: `${server.url}/api/v1/workflow/create-task/execute`, body: payload } as const;
  return {
    name: workers > 1 ? `Flowcall, ${workers} workers` : "Flowcall",
    about:
      "this checkout, `npm start` on its embedded Postgres (fsync and synchronous_commit on); all is committed before the answer",
    calls: {
      sync: { ...http, headers: { ...headers, sync_execution: "true" } },
      async: { ...http, headers },
      grpc: { protocol: "grpc", url: `${server.url}${grpcPath}`, headers: { "x-api-key": key }, body: frame },
    },
    rootPid: server.rootPid,
    pending: () => count("select count(*) from execution_claim"),
    databaseBytes: () => count("select pg_database_size(current_database()) as count"),
    query: async (statement) => (await client.query<Record<string, unknown>>(statement)).rows,
    stop: async () => {
      await client.end();
      await server.stop();
    },
  };
}

/** The floor: `node:http` that parses JSON and answers JSON, and grpc-js that answers the bytes that it gets. */
export async function startEcho(): Promise<Target> {
  const child = spawn(process.execPath, [`${import.meta.dirname}/echo-server.ts`], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    detached: true,
  });
  const [{ http, grpc }] = await once(child, "message");
  if (child.pid === undefined) {
    throw new Error("the echo has no process");
  }
  return {
    name: "echo",
    about: "node:http that parses and answers JSON, grpc-js that answers bytes; nothing is kept",
    calls: {
      sync: { protocol: "http", url: `http://127.0.0.1:${http}/`, headers: {}, body: payload },
      grpc: { protocol: "grpc", url: `http://127.0.0.1:${grpc}${grpcPath}`, headers: {}, body: frame },
    },
    rootPid: child.pid,
    stop: () => end(child),
  };
}

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join, resolve } from "node:path";
import { fromJsonString } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../src/domain/clock.ts";
import { defaultLimits } from "../src/domain/limits.ts";
import { compileGraph } from "../src/engine/compile/compile-graph.ts";
import { parseEgressAllow } from "../src/engine/http/egress-allow-list.ts";
import { HttpClient } from "../src/engine/http/http-client.ts";
import { runGraph } from "../src/engine/run/run-graph.ts";
import { WorkflowDefinitionSchema } from "../src/gen/flowcall/v1/definition_pb.ts";
import { MemoryJournal } from "./engine/memory-journal.ts";
import { noConnections, noVariables } from "./engine/workflow.ts";
import { computeOf } from "./support/pool.ts";

const page = resolve(import.meta.dirname, "../docs/workflows.md");
const blocks = [...(await readFile(page, "utf8")).matchAll(/^```json\n([\s\S]*?)^```$/gm)].map(([, text = ""]) => text);

let url: string;
let client: HttpClient;
const server = createServer(async (request, response) => {
  const { method, url } = request;
  const body = JSON.parse(Buffer.concat(await request.toArray()).toString());
  response.writeHead(201, { "content-type": "application/json" }).end(JSON.stringify({ method, url, body }));
});

beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const host = `127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  url = `http://${host}`;
  client = new HttpClient({ allow: parseEgressAllow(host) });
  await client.start();
});

afterAll(async () => {
  await client.stop();
  server.close();
});

/** Runs a definition with its sample payload; answers what its Response or its output says, or how it failed. */
async function answerOf(definition: string): Promise<unknown> {
  const { graph, errors, warnings } = compileGraph(
    fromJsonString(WorkflowDefinitionSchema, definition.replaceAll("https://api.example.com", url)),
    defaultLimits,
  );
  expect([errors, warnings]).toEqual([[], []]);
  if (graph === undefined) {
    throw new Error("there is no graph");
  }
  const { pool, yielder } = computeOf();
  const outcome = await runGraph(graph, {
    pool,
    yielder,
    executionId: "0123456789abcdef01234567",
    type: "ASYNC",
    event: { body: graph.samplePayload, headers: {} },
    linkedAccount: {},
    workflowFields: {},
    applicationFields: {},
    organizationId: "organization",
    environmentId: "0123456789abcdef01234567",
    callbackUrl: (path) => `https://flows.example.com/api/v1/webhook/${path}`,
    http: client,
    connections: noConnections,
    variables: noVariables,
    limits: defaultLimits,
    clock: systemClock,
    journal: new MemoryJournal(systemClock),
    signal: new AbortController().signal,
  });
  const { state, response = "null", error } = outcome;
  return state === "COMPLETED" ? JSON.parse(response) : { status: state, response: JSON.parse(response), error };
}

describe(join("docs", "workflows.md"), () => {
  const pairs = blocks.flatMap((definition, index) => (index % 2 === 0 ? [[definition, blocks[index + 1] ?? ""]] : []));

  test.each(pairs)("a definition answers what stands below it: %#", async (definition = "", answer = "") => {
    expect(await answerOf(definition)).toEqual(JSON.parse(answer));
  });

  test("it has definitions", () => {
    expect(pairs).toHaveLength(13);
  });
});

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type Logger, pino } from "pino";
import { App } from "../../src/app.ts";
import { type Environment, readConfig } from "../../src/config.ts";
import { WorkflowDefinitionSchema } from "../../src/gen/flowcall/v1/definition_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { exampleKeys } from "./example-database.ts";
import { createExampleDatabase, createTestDatabase, type TestDatabase } from "./postgres.ts";
import { Refusals } from "./refusals.ts";

export const { test: testKey, production: productionKey } = exampleKeys;

/** What says how a first start founds the first organisation. */
const foundedBy = ["FLOWCALL_TEST_KEY", "FLOWCALL_PRODUCTION_KEY", "FLOWCALL_EXAMPLES"];

/** A whole service in this process, on a database of its own, with the examples. */
export type Flowcall = {
  readonly app: App;
  readonly url: string;
  readonly database: TestDatabase;
  stop(): Promise<void>;
};

/** Says nothing, unless it is asked to; but what is refused is looked at. */
function quietLog(refusals: Refusals): Logger {
  const level = process.env["TEST_LOG"];
  return level === undefined ? refusals.log : pino({ level });
}

export async function startFlowcall(environment: Environment = {}, log?: Logger): Promise<Flowcall> {
  const isFirstStart = foundedBy.some((name) => name in environment);
  const database = await (isFirstStart ? createTestDatabase() : createExampleDatabase());
  const flowcall = await startOn(database, { FLOWCALL_EXAMPLES: String(isFirstStart), ...environment }, log);
  return {
    ...flowcall,
    stop: async () => {
      await flowcall.stop();
      await database.drop();
    },
  };
}

/** One more service on the database of the first; stop it before the first. */
export async function startBeside({ database }: Flowcall, environment: Environment = {}): Promise<Flowcall> {
  return await startOn(database, environment);
}

async function startOn(database: TestDatabase, environment: Environment, log?: Logger): Promise<Flowcall> {
  const refusals = new Refusals();
  const dataDir = await mkdtemp(join(tmpdir(), "flowcall-test-"));
  const config = readConfig({
    FLOWCALL_PORT: "0",
    FLOWCALL_DATABASE_URL: database.url,
    FLOWCALL_DATA_DIR: dataDir,
    FLOWCALL_EXAMPLES: "false",
    // Most tests need no child process.
    FLOWCALL_POOL_KEPT: "0",
    FLOWCALL_TEST_KEY: testKey,
    FLOWCALL_ENCRYPTION_KEYS: Buffer.alloc(32, 1).toString("base64"),
    FLOWCALL_PRODUCTION_KEY: productionKey,
    ...environment,
  });
  const app = new App({ config, log: log ?? quietLog(refusals) });
  await app.start();
  return {
    app,
    url: app.url,
    database,
    stop: async () => {
      await app.stop();
      await rm(dataDir, { recursive: true, force: true });
      refusals.check();
    },
  };
}

export type NewWorkflow = {
  readonly alias: string;
  readonly slug?: string;
  readonly definition: JsonObject;
  readonly isPublished?: boolean;
  readonly key?: string;
};

/** Creates a workflow through the API, saves its definition and, unless told otherwise, publishes it. */
export async function putWorkflow(url: string, workflow: NewWorkflow): Promise<string> {
  const { alias, slug = "asana", definition, isPublished = true, key = testKey } = workflow;
  const client = createClient(WorkflowService, createGrpcTransport({ baseUrl: url }));
  const headers = { "x-api-key": key };
  const { id } = await client.createWorkflow({ slug, alias, name: alias }, { headers });
  await client.saveDraft({ workflow: id, definition: fromJson(WorkflowDefinitionSchema, definition) }, { headers });
  if (isPublished) {
    await client.publishWorkflow({ workflow: id }, { headers });
  }
  return id;
}

/** Start → Response with the given data, or a Start with another trigger. */
export function echoDefinition(data: string, trigger: JsonObject = { api_call: {} }): JsonObject {
  return {
    nodes: [
      { id: "1", name: "Start", start: trigger },
      { id: "2", name: "Response", response: { data } },
    ],
    edges: [{ source: "1", target: "2" }],
  };
}

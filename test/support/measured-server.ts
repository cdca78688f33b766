import { once } from "node:events";
import { join } from "node:path";
import { echoDefinition, productionKey, putWorkflow, testKey } from "./flowcall.ts";
import type { Cost } from "./gauge.ts";
import { createExampleDatabase } from "./postgres.ts";
import { makeDataDir, startServerProcess } from "./server-process.ts";

/** The server in a process of its own, so that what it costs can be told from what the test costs. */
export type MeasuredServer = {
  readonly url: string;
  /** What it logged as an error so far: each fault of ours is there. */
  readonly errors: () => string;
  /** What it has cost since this was asked last. */
  measure(): Promise<Cost>;
  stop(): Promise<void>;
};

/** Starts it with a workflow `echo` that answers its payload. */
export async function startMeasuredServer(environment: NodeJS.ProcessEnv = {}): Promise<MeasuredServer> {
  const database = await createExampleDatabase();
  const { dataDir, remove } = await makeDataDir();
  const { url, child, end } = await startServerProcess({
    dataDir,
    preload: join(import.meta.dirname, "gauge.ts"),
    stderr: "pipe",
    environment: {
      FLOWCALL_DATABASE_URL: database.url,
      FLOWCALL_EXAMPLES: "false",
      FLOWCALL_TEST_KEY: testKey,
      FLOWCALL_PRODUCTION_KEY: productionKey,
      ...environment,
    },
  });
  let errors = "";
  child.stderr?.on("data", (text) => {
    errors += text;
  });
  await putWorkflow(url, { alias: "echo", definition: echoDefinition("{{event.body}}") });
  return {
    url,
    errors: () => errors,
    measure: async () => {
      const told: Promise<[Cost]> = once(child, "message").then(([cost]) => [cost]);
      child.send("measure");
      const [cost] = await told;
      return cost;
    },
    stop: async () => {
      await end("SIGTERM");
      await database.drop();
      await remove();
    },
  };
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { App } from "../../src/app.ts";
import { readConfig } from "../../src/config.ts";

/** The keys of the first organisation. */
export const exampleKeys = {
  test: "tk00000000-0000-4000-8000-000000000001",
  production: "pk00000000-0000-4000-8000-000000000002",
};

/** Founds the first organisation in an empty database and loads the examples, by a start of the service. */
export async function loadExampleDatabase(url: string): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), "flowcall-test-"));
  const config = readConfig({
    FLOWCALL_PORT: "0",
    FLOWCALL_DATABASE_URL: url,
    FLOWCALL_DATA_DIR: dataDir,
    FLOWCALL_EXAMPLES: "true",
    FLOWCALL_TEST_KEY: exampleKeys.test,
    FLOWCALL_PRODUCTION_KEY: exampleKeys.production,
  });
  const app = new App({ config, log: pino({ level: "warn" }) });
  try {
    await app.start();
  } finally {
    await app.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

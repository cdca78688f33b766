// What the benches that need a whole service share: the service in a process of its own, on a durable Postgres.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { App, type AppOptions } from "../src/app.ts";
import { readConfig } from "../src/config.ts";
import { EmbeddedPostgres } from "../src/storage/embedded/embedded-postgres.ts";

export const key = "tk00000000-0000-4000-8000-000000000001";

const log = pino({ level: "silent" });

/** Is the service: tells its address, and stops when its parent goes. */
export async function serve(options: Pick<AppOptions, "open"> = {}): Promise<void> {
  const app = new App({ config: readConfig(), log, ...options });
  await app.start();
  process.send?.(app.url);
  process.once("disconnect", () => void app.stop().then(() => process.exit()));
}

export type BenchPostgres = {
  readonly connection: EmbeddedPostgres["connection"];
  /** Starts `module` with these arguments, which calls `serve`. */
  startServer(module: string, args: readonly string[], environment?: NodeJS.ProcessEnv): Promise<BenchServer>;
  stop(): Promise<void>;
};

export type BenchServer = { readonly url: string; readonly child: ChildProcess };

export async function startPostgres(): Promise<BenchPostgres> {
  const folder = await mkdtemp(join(tmpdir(), "flowcall-bench-"));
  // The database runs as another user where this runs as root.
  await chmod(folder, 0o755);
  const postgres = new EmbeddedPostgres({ dataDir: join(folder, "data"), log });
  await postgres.start();
  const { connection } = postgres;
  const { host, port, user, database } = connection;
  return {
    connection,
    startServer: async (module, args, environment) => {
      const env = {
        ...process.env,
        FLOWCALL_DATABASE_URL: `postgres://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`,
        FLOWCALL_DATA_DIR: join(folder, "none"),
        FLOWCALL_EXAMPLES: "true",
        FLOWCALL_PORT: "0",
        FLOWCALL_TEST_KEY: key,
        FLOWCALL_QUEUE_MAX: "1000000",
        FLOWCALL_ENVIRONMENT_QUEUE_MAX: "1000000",
        FLOWCALL_ACCOUNT_QUEUE_MAX: "1000000",
        FLOWCALL_KEY_REQUESTS_MAX: "1000000",
        ...environment,
      };
      const child = fork(module, args, { env });
      const [url] = await once(child, "message");
      return { url: String(url), child };
    },
    stop: async () => {
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Lets a server come to its end. */
export async function stopServer({ child }: BenchServer): Promise<void> {
  child.disconnect();
  await once(child, "exit");
}

export function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}

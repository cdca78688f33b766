import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

/** A server of a case's own, as durable as in production. After a crash or a kill it is started again by who keeps it. */
export type OwnPostgres = TestPostgres & {
  readonly dataFolder: string;
  /** Ends it as its own supervisor would in an emergency: no connection is told, and the log is replayed after. */
  crash(): Promise<void>;
  /** Ends it by SIGKILL, as a loss of the machine does. */
  kill(): Promise<void>;
  /** Stops it in good order; nothing can be reached until `resume`. */
  suspend(): Promise<void>;
  resume(): Promise<void>;
  stop(): Promise<void>;
};

export async function startOwnPostgres(settings: Readonly<Record<string, string>> = {}): Promise<OwnPostgres> {
  const { server, ...postgres } = await startTestPostgres({
    settings: { max_connections: "200", ...settings },
    // Its ends are what the case is about.
    logLevel: process.env["TEST_LOG"] ?? "silent",
  });
  const database: Pick<TestDatabase, "query" | "drop"> = await postgres.createEmptyDatabase();
  const { rows } = await database.query("show data_directory");
  await database.drop();
  const dataFolder = String(rows[0]?.["data_directory"]);
  const pidFile = join(dataFolder, "postmaster.pid");
  const signal = async (name: NodeJS.Signals) => {
    const [pid] = (await readFile(pidFile, "utf8")).split("\n");
    process.kill(Number(pid), name);
  };
  return {
    ...postgres,
    dataFolder,
    crash: () => signal("SIGQUIT"),
    kill: () => signal("SIGKILL"),
    suspend: () => server.stop(),
    resume: () => server.start(),
  };
}

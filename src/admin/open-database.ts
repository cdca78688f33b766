import { type Logger, pino } from "pino";
import { CliError } from "../cli/output/cli-error.ts";
import type { Config } from "../config.ts";
import { EmbeddedPostgres, findEmbedded } from "../storage/embedded/embedded-postgres.ts";
import { FolderInUse } from "../storage/embedded/folder-lock.ts";
import { Database } from "../storage/postgres/database.ts";
import { isUnavailable } from "../storage/postgres/database-errors.ts";
import type { DatabaseConnection } from "../storage/postgres/pool.ts";
import { findSchemaProblem } from "../storage/postgres/schema-problem.ts";
import { openStores } from "../storage/stores.ts";
import type { AdminStores } from "./admin-command.ts";

export type OpenDatabase = { readonly stores: AdminStores; close(): Promise<void> };

type Connected = { readonly connection: DatabaseConnection; close(): Promise<void> };

/**
 * Opens the database of a service with these settings, without migrating it. The embedded Postgres is shared with a running
 * service, or else started until `close()`.
 */
export async function openDatabase(config: Config): Promise<OpenDatabase> {
  // Errors are thrown and printed once, so nothing is logged.
  const log = pino({ level: "silent" });
  const connected = await connect(config, log);
  const database = new Database({ connection: () => connected.connection, log, poolMax: 1 });
  const close = async () => {
    await database.stop();
    await connected.close();
  };
  try {
    const problem = await findSchemaProblem(database.db);
    if (problem !== undefined) {
      throw new CliError(`Nothing was done: ${problem}.`);
    }
    return { stores: openStores(database), close };
  } catch (error) {
    await close();
    if (!isUnavailable(error)) {
      throw error;
    }
    throw new CliError("The database cannot be reached.", { cause: error });
  }
}

async function connect({ databaseUrl, dataDir }: Config, log: Logger): Promise<Connected> {
  if (databaseUrl !== undefined) {
    return { connection: { url: databaseUrl }, close: async () => undefined };
  }
  const running = await findEmbedded(dataDir).catch((cause: unknown) => {
    throw notOpened(dataDir, cause);
  });
  if (running === undefined) {
    throw new CliError(
      `There is no database in ${dataDir}. Set FLOWCALL_DATA_DIR or FLOWCALL_DATABASE_URL as for the service.`,
    );
  }
  const embedded = new EmbeddedPostgres({ dataDir, log });
  try {
    await embedded.start();
    return { connection: embedded.connection, close: () => embedded.stop() };
  } catch (error) {
    if (!isInUse(error)) {
      throw notOpened(dataDir, error);
    }
    return { connection: running, close: async () => undefined };
  }
}

function isInUse(error: unknown): boolean {
  return error instanceof FolderInUse || (error instanceof Error && isInUse(error.cause));
}

function notOpened(dataDir: string, cause: unknown): CliError {
  return new CliError(`The database in ${dataDir} cannot be opened. Run this as the user that the service runs as.`, {
    cause,
  });
}

import type { Logger } from "pino";
import type { Config } from "../config.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { type EmbeddedConnection, EmbeddedPostgres } from "../storage/embedded/embedded-postgres.ts";
import type { MigrationsFor } from "../storage/migrations/migrations.ts";
import { Database } from "../storage/postgres/database.ts";
import { Notifier } from "../storage/postgres/notifier.ts";
import { type BatchLimits, defaultBatchLimits } from "../storage/postgres/statement-batcher.ts";
import { openStores, type Stores } from "../storage/stores.ts";

export type StorageOptions = {
  readonly config: Config;
  readonly log: Logger;
  /** Counts statements; absent where there are no metrics. */
  readonly metrics?: Metrics | undefined;
  /** The embedded Postgres that another process of this installation runs. */
  readonly running?: EmbeddedConnection;
  /** The migrations that update the tables; those of this version by default. */
  readonly migrations?: MigrationsFor;
  /** Opens the stores on the database; `openStores` by default. */
  readonly open?: (database: Database, batchLimits: BatchLimits) => Stores;
};

/** Everything that is on Postgres. */
export type Storage = {
  /** Undefined where this process runs no database. */
  readonly embedded: EmbeddedPostgres | undefined;
  readonly database: Database;
  readonly notifier: Notifier;
  readonly stores: Stores;
};

export function openStorage({ config, log, metrics, running, migrations, open = openStores }: StorageOptions): Storage {
  const { databaseUrl, dataDir } = config;
  const embedded = new EmbeddedPostgres({ dataDir, log });
  const connection = () => (databaseUrl === undefined ? (running ?? embedded.connection) : { url: databaseUrl });
  const database = new Database({ connection, log, ...(migrations !== undefined && { migrations }) });
  return {
    embedded: databaseUrl === undefined && running === undefined ? embedded : undefined,
    database,
    notifier: new Notifier({ connection, log }),
    stores: open(database, { ...defaultBatchLimits, onAnswered: metrics?.onAnswered }),
  };
}

/**
 * The connection pools of one Postgres database: what waits for it at the start, migrates it, and keeps the statements of
 * the process, of its callers, of the lease and of key look-ups out of each other's way. The stores build on it
 * (`storage/stores.ts`).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Kysely, PostgresDialect, type PostgresPool, sql } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import type { Logger } from "pino";
import { CallerContext } from "../../domain/caller-context.ts";
import type { Service } from "../../domain/service.ts";
import { type MigrationsFor, migrationsFor } from "../migrations/migrations.ts";
import { isLockTimeout, isUnavailable } from "./database-errors.ts";
import { type DatabaseConnection, Pool } from "./pool.ts";
import type { Tables } from "./tables.ts";

export type DatabaseOptions = {
  /** Asked at `start()`. */
  readonly connection: () => DatabaseConnection;
  readonly log: Logger;
  /** Size of the pool, without the connections of the lease and of look-ups. Default: 10. */
  readonly poolMax?: number;
  /** The migrations that bring its tables up to date; those of this version where it is not set. */
  readonly migrations?: MigrationsFor;
};

/** The oldest Postgres that is supported, as `server_version_num` counts. */
const versionMin = 150_000;

/** How often migrations are begun again that waited too long for a lock, so that those who use the tables go on meanwhile. */
const migrationRetriesMax = 100;

/** The log mentions an unreachable database this often. */
const mentionMs = 30_000;

const retryMaxMs = 2_000;

/**
 * The lease's connection counts as lost after this long without an answer. It writes one row and waits for no lock, so that
 * its silence is the first sign of a network that drops packets.
 */
const leaseAnswerMs = 1_000;

/** Connections for looking up keys without a valid checksum, which anybody may have made up. */
export const lookUpConnections = 2;

export class Database implements Service {
  /** For the process's own work and for batched statements. */
  readonly db: Kysely<Tables>;
  /** For statements of one caller. It uses the same pool, whose connections the `callers` get round robin. */
  readonly callsDb: Kysely<Tables>;
  readonly callers = new CallerContext();
  /** One connection for the lease alone, so that a busy pool cannot delay the heartbeat. */
  readonly leaseDb: Kysely<Tables>;
  /** Connections for looking up made-up keys alone, so that a flood of them delays no call. */
  readonly lookUpDb: Kysely<Tables>;
  readonly #options: DatabaseOptions;
  readonly #stopping = new AbortController();
  #starting: Promise<void> | undefined;

  constructor(options: DatabaseOptions) {
    const { connection, log, poolMax = 10 } = options;
    this.#options = options;
    const pool = new Pool({ connection, log, max: poolMax });
    this.db = connect(pool);
    this.callsDb = connect({
      options: pool.options,
      connect: () => pool.connect(this.callers.current),
      end: () => pool.end(),
    });
    this.lookUpDb = connect(new Pool({ connection, log, max: lookUpConnections }));
    this.leaseDb = connect(
      new Pool({ connection, log, max: 1, watch: { answerMs: leaseAnswerMs, onLost: () => pool.drop() } }),
    );
  }

  /** Waits until the database can be reached, then migrates it. Throws where waiting cannot help. */
  async start(): Promise<void> {
    this.#starting = this.#waitUntilReady();
    await this.#starting;
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the database was stopped before it could be reached"));
    await this.#starting?.catch(() => undefined);
    await Promise.all([this.db.destroy(), this.callsDb.destroy(), this.leaseDb.destroy(), this.lookUpDb.destroy()]);
  }

  async #waitUntilReady(): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#stopping;
    let mentionTime = performance.now();
    let isMentioned = false;
    for (let retryMs = 100; ; retryMs = Math.min(retryMs * 2, retryMaxMs)) {
      try {
        await this.#prepare();
        break;
      } catch (error) {
        if (!isUnavailable(error)) {
          throw error;
        }
        if (performance.now() >= mentionTime) {
          log.warn({ error: String(error) }, "the database cannot be reached yet; waiting for it");
          mentionTime = performance.now() + mentionMs;
          isMentioned = true;
        }
      }
      // An aborted `sleep` wraps the signal's reason as a cause; the reason itself says more.
      await sleep(retryMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
    if (isMentioned) {
      log.info("the database is reached");
    }
  }

  async #prepare(): Promise<void> {
    const { rows } = await sql<{ version: number; name: string }>`
      select current_setting('server_version_num')::int as version, current_setting('server_version') as name
    `.execute(this.db);
    for (const { version, name } of rows) {
      if (version < versionMin) {
        throw new Error(`Flowcall needs PostgreSQL 15 or newer, and the database is ${name}`);
      }
    }
    await this.#migrate();
  }

  /** Several processes may start at once: the migrator's lock lets one in at a time, and the others find nothing to do. */
  async #migrate(): Promise<void> {
    const { log } = this.#options;
    const provider = { getMigrations: () => this.#listMigrations() };
    for (let retries = 0; ; retries += 1) {
      const { error, results = [] } = await this.#withMigrationDb((db) =>
        new Migrator({ db, provider }).migrateToLatest(),
      );
      if (retries < migrationRetriesMax && isLockTimeout(error)) {
        continue;
      }
      const failed = results.find(({ status }) => status === "Error")?.migrationName;
      if (error !== undefined) {
        const place = failed === undefined ? "" : ` (${failed})`;
        throw new Error(`the database's tables cannot be brought up to date${place}`, { cause: error });
      }
      const names = results.map(({ migrationName }) => migrationName);
      const [from] = names;
      if (from !== undefined) {
        log.info({ from, to: names.at(-1), migrations: names.length }, "the database's tables are brought up to date");
      }
      return;
    }
  }

  /** Lends a connection whose statements have no time limit. */
  async #withMigrationDb<Result>(run: (db: Kysely<Tables>) => Promise<Result>): Promise<Result> {
    const { connection, log } = this.#options;
    const db = connect(new Pool({ connection, log, max: 1, isPatient: true }));
    try {
      return await run(db);
    } finally {
      await db.destroy();
    }
  }

  /**
   * This version's migrations, and those that a later version has run: what they added is nothing to this one, which has
   * to start among newer processes too. The migrator asks with its lock held, and still refuses where one of ours is
   * missing below one of theirs.
   */
  async #listMigrations(): Promise<Record<string, Migration>> {
    const { log, migrations = migrationsFor } = this.#options;
    const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(this.db);
    const done = rows.map(({ name }) => name);
    const own = migrations(done);
    for (const [name, { prepare }] of Object.entries(own)) {
      if (prepare !== undefined && !done.includes(name)) {
        await this.#withMigrationDb(prepare);
      }
    }
    const later = done.filter((name) => !Object.hasOwn(own, name));
    if (later.length > 0) {
      log.warn({ migrations: later }, "a later version has brought the database up to date");
    }
    return { ...Object.fromEntries(later.map((name) => [name, { up: async () => {} }])), ...own };
  }
}

function connect(pool: PostgresPool): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
}

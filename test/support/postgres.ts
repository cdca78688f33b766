/**
 * A real Postgres for every test: one server for each run of vitest (its `globalSetup` is this file), one database for
 * each test file. Nothing of it is left when the run ends.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { inject } from "vitest";
import type { TestProject } from "vitest/node";
import { Database } from "../../src/storage/database.ts";
import { type EmbeddedConnection, EmbeddedPostgres } from "../../src/storage/embedded/embedded-postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    postgres: EmbeddedConnection;
  }
}

export type TestDatabase = {
  readonly connection: EmbeddedConnection;
  /** The same as one URL, as FLOWCALL_DATABASE_URL takes it. */
  readonly url: string;
  /** Looks into it: what a statement answers. */
  query(statement: string): Promise<pg.QueryResult<Record<string, unknown>>>;
  /** Deletes the database, whoever is still connected to it. */
  drop(): Promise<void>;
};

const templateName = "flowcall_template";

/** Made for speed: what a test wrote need not survive a loss of power. */
const settings = { fsync: "off", full_page_writes: "off", max_connections: "300", autovacuum_naptime: "1s" };

/** Makes an empty database with all tables, or a copy of one. Call `drop()` when the file's tests are done. */
export async function createTestDatabase(template = templateName): Promise<TestDatabase> {
  return await createDatabase(`template ${template} strategy file_copy`);
}

/** Makes a database without tables. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  return await createDatabase("");
}

async function createDatabase(source: string): Promise<TestDatabase> {
  const server = inject("postgres");
  const database = `test_${randomBytes(6).toString("hex")}`;
  await execute(server, `create database ${database} ${source}`);
  return {
    connection: { ...server, database },
    url: `postgres://${server.user}@localhost:${server.port}/${database}?host=${encodeURIComponent(server.host)}`,
    query: (statement) => execute({ ...server, database }, statement),
    drop: async () => {
      await execute(server, `drop database ${database} with (force)`);
    },
  };
}

async function execute(connection: pg.ClientConfig, statement: string): Promise<pg.QueryResult> {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    return await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Called by vitest before the first test file; what it answers is called after the last. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const log = pino({ level: "warn" });
  const dataDir = await mkdtemp(join(tmpdir(), "flowcall-test-"));
  const server = new EmbeddedPostgres({ dataDir, log, settings });
  const teardown = async () => {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
  try {
    await server.start();
    await execute(server.connection, `create database ${templateName}`);
    const template = new Database({ connection: () => ({ ...server.connection, database: templateName }), log });
    await template.start();
    await template.stop();
    project.provide("postgres", server.connection);
    return teardown;
  } catch (error) {
    await teardown();
    throw error;
  }
}

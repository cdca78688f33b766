/**
 * A real Postgres for every test: one server for each run of vitest (its `globalSetup` is this file) or of
 * `npm run faults`, one database for each test file or case. Nothing of it is left when the run ends.
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
const fastSettings = { fsync: "off", full_page_writes: "off", max_connections: "300", autovacuum_naptime: "1s" };

/** A server on which databases are made. */
export type TestPostgres = {
  readonly connection: EmbeddedConnection;
  /** Makes an empty database with all tables, or a copy of one. */
  createDatabase(template?: string): Promise<TestDatabase>;
  /** Makes a database without tables. */
  createEmptyDatabase(): Promise<TestDatabase>;
};

/** Makes an empty database with all tables, or a copy of one. Call `drop()` when the file's tests are done. */
export async function createTestDatabase(template?: string): Promise<TestDatabase> {
  return await injectedPostgres().createDatabase(template);
}

/** Makes a database without tables. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  return await injectedPostgres().createEmptyDatabase();
}

/** The server of the run of vitest that this is called in. */
export function injectedPostgres(): TestPostgres {
  return testPostgres(inject("postgres"));
}

function testPostgres(connection: EmbeddedConnection): TestPostgres {
  return {
    connection,
    createDatabase: (template = templateName) => createDatabase(connection, `template ${template} strategy file_copy`),
    createEmptyDatabase: () => createDatabase(connection, ""),
  };
}

async function createDatabase(server: EmbeddedConnection, source: string): Promise<TestDatabase> {
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
  // An end of the connection reaches whoever waits for the answer as well.
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await client.query(statement);
  } finally {
    await client.end();
  }
}

export type StartedPostgres = TestPostgres & { readonly server: EmbeddedPostgres; stop(): Promise<void> };

export type TestPostgresOptions = {
  /** Over those that it comes with; made for speed where they are not set. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly logLevel?: string;
};

/** Starts a server with the template of all databases, in a folder of its own; nothing of it is left once it has stopped. */
export async function startTestPostgres({
  settings = fastSettings,
  logLevel = "warn",
}: TestPostgresOptions = {}): Promise<StartedPostgres> {
  const log = pino({ level: logLevel });
  const dataDir = await mkdtemp(join(tmpdir(), "flowcall-test-"));
  const server = new EmbeddedPostgres({ dataDir, log, settings });
  const stop = async () => {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
  try {
    await server.start();
    const { connection } = server;
    await execute(connection, `create database ${templateName}`);
    const template = new Database({ connection: () => ({ ...connection, database: templateName }), log });
    await template.start();
    await template.stop();
    return { ...testPostgres(connection), server, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Called by vitest before the first test file; what it answers is called after the last. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { connection, stop } = await startTestPostgres();
  project.provide("postgres", connection);
  return stop;
}

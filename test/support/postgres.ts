/**
 * A real Postgres for every test: one server for each run of vitest (its `globalSetup` is this file) or of
 * `npm run faults`, one database for each test file or case. Nothing of it is left when the run ends.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { inject } from "vitest";
import type { TestProject } from "vitest/node";
import { type EmbeddedConnection, EmbeddedPostgres } from "../../src/storage/embedded/embedded-postgres.ts";
import { Database } from "../../src/storage/postgres/database.ts";
import { loadExampleDatabase } from "./example-database.ts";

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
  /** Ends the connections of such looks, which would keep it from being copied. The next look begins others. */
  rest(): Promise<void>;
  /** Deletes the database, whoever is still connected to it. */
  drop(): Promise<void>;
};

const templateName = "flowcall_template";
const exampleTemplateName = "flowcall_example_template";

/** Made for speed: what a test wrote need not survive a loss of power. */
const fastSettings = { fsync: "off", full_page_writes: "off", max_connections: "300", autovacuum_naptime: "10s" };

/** A server on which databases are made. */
export type TestPostgres = {
  readonly connection: EmbeddedConnection;
  /** Makes an empty database with all tables, or a copy of one. */
  createDatabase(template?: TestDatabase): Promise<TestDatabase>;
  /** Makes a database with the first organisation and the examples, as a first start leaves it. */
  createExampleDatabase(): Promise<TestDatabase>;
  /** Makes a database without tables. */
  createEmptyDatabase(): Promise<TestDatabase>;
};

/** Makes an empty database with all tables. Call `drop()` when the file's tests are done. */
export async function createTestDatabase(): Promise<TestDatabase> {
  return await injectedPostgres().createDatabase();
}

/** Makes a database with the first organisation and the examples, as a first start leaves it. */
export async function createExampleDatabase(): Promise<TestDatabase> {
  return await injectedPostgres().createExampleDatabase();
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
  const copyOf = (template: string) => createDatabase(connection, `template ${template} strategy file_copy`);
  return {
    connection,
    createDatabase: async (template) => {
      await template?.rest();
      return await copyOf(template?.connection.database ?? templateName);
    },
    createExampleDatabase: () => copyOf(exampleTemplateName),
    createEmptyDatabase: () => createDatabase(connection, ""),
  };
}

async function createDatabase(server: EmbeddedConnection, source: string): Promise<TestDatabase> {
  const database = `test_${randomBytes(6).toString("hex")}`;
  await execute(server, `create database ${database} ${source}`);
  const connection = { ...server, database };
  // What looks again and again has its connections open: to begin one costs more than most looks do.
  let looks = openLooks(connection);
  return {
    connection,
    url: urlOf(server, database),
    query: (statement) => looks.query(statement),
    rest: async () => {
      const ended = looks;
      looks = openLooks(connection);
      await ended.end();
    },
    drop: async () => {
      const ended = looks.end();
      await execute(server, `drop database ${database} with (force)`);
      await ended;
    },
  };
}

function openLooks(connection: EmbeddedConnection): pg.Pool {
  const pool = new pg.Pool({ ...connection, max: 4, allowExitOnIdle: true });
  // It ends with its database, and whoever looks next is told.
  pool.on("error", () => undefined);
  return pool;
}

function urlOf({ user, port, host }: EmbeddedConnection, database: string): string {
  return `postgres://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`;
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
  /** Where its folder is made. */
  readonly parent?: string;
};

/** Starts a server with the template of all databases, in a folder of its own; nothing of it is left once it has stopped. */
export async function startTestPostgres({
  settings = fastSettings,
  logLevel = "warn",
  parent = tmpdir(),
}: TestPostgresOptions = {}): Promise<StartedPostgres> {
  const log = pino({ level: logLevel });
  const dataDir = await mkdtemp(join(parent, "flowcall-test-"));
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
    await execute(connection, `create database ${exampleTemplateName} template ${templateName} strategy file_copy`);
    await loadExampleDatabase(urlOf(connection, exampleTemplateName));
    return { ...testPostgres(connection), server, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Several times what the databases of a run have together. */
const memoryBytesMin = 8 * 1024 ** 3;

/**
 * A folder in memory, on a machine that has much of it: a database is a thousand files, and some file systems take ten
 * times as much CPU to copy them.
 */
async function fastestFolder(): Promise<string> {
  const folder = "/dev/shm";
  const { bavail, bsize } = await statfs(folder).catch(() => ({ bavail: 0, bsize: 0 }));
  return Math.min(bavail * bsize, process.availableMemory()) > memoryBytesMin ? folder : tmpdir();
}

/** Called by vitest before the first test file; what it answers is called after the last. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { connection, stop } = await startTestPostgres({ parent: await fastestFolder() });
  project.provide("postgres", connection);
  return stop;
}

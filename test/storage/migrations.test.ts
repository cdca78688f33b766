import { readFile } from "node:fs/promises";
import { pino } from "pino";
import { expect, test } from "vitest";
import { migrationNames } from "../../src/storage/migrations/migrations.ts";
import { Database } from "../../src/storage/postgres/database.ts";
import { findSchemaProblem } from "../../src/storage/postgres/schema-problem.ts";
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { dumpSchema } from "./schema-dump.ts";

/** The baseline as SQL, to be read. `vitest run test/storage/migrations.test.ts -u` writes it anew. */
const dumpFile = new URL("../../src/storage/migrations/schema.sql", import.meta.url).pathname;

/** What the first fifteen migrations did, each statement as it was run. */
const oldSchema = await readFile(new URL("tables-at-0015.sql", import.meta.url), "utf8");

test("the tables of a new database are those of schema.sql", async () => {
  const database = await createTestDatabase();
  await expect(await dumpSchema(database)).toMatchFileSnapshot(dumpFile);
  await database.drop();
});

test("tables that the first fifteen migrations made become equal to those of a new database", async () => {
  const database = await createEmptyDatabase();
  await database.query(oldSchema);
  expect(await start(database)).toBeUndefined();
  await expect(await dumpSchema(database)).toMatchFileSnapshot(dumpFile);
  const { rows } = await database.query("select name from kysely_migration order by name");
  expect(rows.map(({ name }) => name)).toEqual(migrationNames);
  expect((await database.query("select from key_secret")).rows).toHaveLength(1);
  await database.drop();
});

test("older tables are refused with what to do, and stay as they are", async () => {
  const database = await createEmptyDatabase();
  await database.query(oldSchema);
  await database.query("delete from kysely_migration where name >= '0014'");
  const before = await dumpSchema(database);
  const refused = await start(database);
  const problem = /older than this version can upgrade \(0014-draft-retention, 0015-process-names missing\): start the/;
  expect(String(refused?.cause)).toMatch(problem);
  expect(await dumpSchema(database)).toBe(before);
  const opened = open(database);
  expect(await findSchemaProblem(opened.db)).toMatch(problem);
  await opened.stop();
  await database.drop();
});

function open({ connection }: TestDatabase): Database {
  return new Database({ connection: () => connection, log: pino({ level: "silent" }) });
}

/** Starts on a database; answers the error where that failed. */
async function start(database: TestDatabase): Promise<Error | undefined> {
  const opened = open(database);
  try {
    await opened.start();
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) {
      throw error;
    }
    return error;
  } finally {
    await opened.stop();
  }
}

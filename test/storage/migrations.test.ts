import { readFile } from "node:fs/promises";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { ExecutionStore } from "../../src/storage/executions/execution-store.ts";
import { type MigrationsFor, migrationNames, migrationsFor } from "../../src/storage/migrations/migrations.ts";
import { Database } from "../../src/storage/postgres/database.ts";
import { findSchemaProblem } from "../../src/storage/postgres/schema-problem.ts";
import { openStores } from "../../src/storage/stores.ts";
import { until } from "../support/eventually.ts";
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { createTenant, json, nodeRun } from "./fixture.ts";
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

function open({ connection }: TestDatabase, migrations: MigrationsFor = migrationsFor): Database {
  return new Database({ connection: () => connection, log: pino({ level: "silent" }), migrations });
}

/** A version that knows nothing of endpoints. */
function beforeWebhooks({ db }: Database): ExecutionStore {
  return new ExecutionStore(db, { watched: { mayHaveEndpoint: () => false } });
}

/** Starts on a database; answers the error where that failed. */
async function start(database: TestDatabase, migrations?: MigrationsFor): Promise<Error | undefined> {
  const opened = open(database, migrations);
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

describe("the migration to partitions by day", () => {
  /** The version before it, with an execution that ended and one that waits. */
  async function makeBefore(): Promise<TestDatabase> {
    const database = await createEmptyDatabase();
    await database.query(oldSchema);
    const earlier: MigrationsFor = (done) => {
      const before = Object.entries(migrationsFor(done)).filter(([name]) => name < "0026-history-by-day");
      return Object.fromEntries(before);
    };
    expect(await start(database, earlier)).toBeUndefined();
    const opened = open(database);
    const tenant = await createTenant(openStores(opened));
    const executions = beforeWebhooks(opened);
    await executions.recordFinished(tenant.newExecution(), { state: "COMPLETED", response: json("1") }, [nodeRun("1")]);
    await executions.begin(tenant.newExecution());
    await opened.stop();
    return database;
  }

  const countAll = `select (select count(*)::int from execution) as executions,
    (select count(*)::int from journal) as flushes, (select count(*)::int from execution_claim) as claims`;

  test("loses nothing when it is killed between its parts and begun again, and what was there is a partition", async () => {
    const database = await makeBefore();
    // As the first part leaves it, unfinished: with a bound of that time.
    await database.query("alter table execution add constraint execution_before check (id < '99999999') not valid");
    await database.query(
      "alter table journal add constraint journal_before check (execution_id < '99999999') not valid",
    );
    const before = (await database.query(countAll)).rows;
    expect(await start(database)).toBeUndefined();
    expect((await database.query(countAll)).rows).toEqual(before);
    await expect(await dumpSchema(database)).toMatchFileSnapshot(dumpFile);
    const { rows } = await database.query("select distinct tableoid::regclass::text as name from execution");
    expect(rows).toEqual([{ name: "execution_before" }]);
    expect((await database.query("select from pg_constraint where conname like '%_before'")).rows).toEqual([]);
    await database.drop();
  });

  test("goes on beside a process of the version before, which writes and reads all the while", async () => {
    const database = await makeBefore();
    const earlier = open(database);
    const tenant = await createTenant(openStores(earlier));
    const stores = { executions: beforeWebhooks(earlier) };
    const { organizationId, environmentId, linkedAccountId } = tenant;
    let isMigrated = false;
    let calls = 0;
    const ids: string[] = [];
    const caller = async () => {
      for (let left = 5; left > 0; left -= isMigrated ? 1 : 0) {
        const execution = tenant.newExecution();
        const claim = { organizationId, environmentId, executionId: execution.id, owner: "a", epoch: 1 };
        await stores.executions.begin(execution, {
          owner: "a",
          idempotencyKey: { key: execution.id, fingerprint: "f" },
        });
        await stores.executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")] });
        await stores.executions.finish({ ...claim, outcome: { state: "COMPLETED", response: json("1") } });
        const query = { organizationId, environmentId, linkedAccountId, executionId: execution.id };
        expect(await stores.executions.getResult(query)).toMatchObject({ state: "COMPLETED" });
        ids.push(execution.id);
        calls += 1;
      }
    };
    const callers = Array.from({ length: 4 }, caller);
    await until("calls are under way", () => calls > 20);
    expect(await start(database)).toBeUndefined();
    isMigrated = true;
    await Promise.all(callers);
    const { rows } = await database.query("select count(*)::int as count from execution where state = 'COMPLETED'");
    expect(rows).toEqual([{ count: ids.length + 1 }]);
    await earlier.stop();
    await database.drop();
  });
});

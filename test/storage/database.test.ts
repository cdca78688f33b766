import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createConnection, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { type Kysely, type RawBuilder, sql } from "kysely";
import type pg from "pg";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type MigrationsFor, migrationNames, migrationsFor } from "../../src/storage/migrations/migrations.ts";
import { Database } from "../../src/storage/postgres/database.ts";
import { isUnavailable } from "../../src/storage/postgres/database-errors.ts";
import type { Tables } from "../../src/storage/postgres/tables.ts";
import { eventually } from "../support/eventually.ts";
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from "../support/postgres.ts";

const silent = pino({ level: "silent" });
let common: TestDatabase;
let folder: string;
let databases: Database[] = [];

beforeAll(async () => {
  common = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), "flowcall-proxy-"));
});

afterEach(async () => {
  await Promise.all(databases.map((database) => database.stop()));
  databases = [];
});

afterAll(async () => {
  await rm(folder, { recursive: true });
  await common.drop();
});

function open(connection: pg.PoolConfig, log = silent, all = migrationsFor): Database {
  const target = { ...common.connection, ...connection };
  const database = new Database({ connection: () => target, log, poolMax: 2, migrations: all });
  databases.push(database);
  return database;
}

/** A log whose lines a test can read. */
function readableLog() {
  const lines: string[] = [];
  const write = (line: Buffer, _encoding: string, done: () => void) => {
    lines.push(JSON.parse(line.toString()).msg);
    done();
  };
  return { lines, log: pino({ level: "info" }, new Writable({ write })) };
}

/** Lets a server appear on a socket where there was none. */
async function listen(): Promise<Server> {
  const server = createServer((socket) => {
    const upstream = createConnection(join(common.connection.host, ".s.PGSQL.5432"));
    socket.pipe(upstream).pipe(socket);
    socket.on("close", () => upstream.destroy());
  });
  server.listen(join(folder, ".s.PGSQL.5432"));
  await once(server, "listening");
  return server;
}

const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail("it did not fail"),
    (error: unknown) => error,
  );

test("waits for a database that is down, and says so once", async () => {
  const { lines, log } = readableLog();
  const starting = open({ host: folder }, log).start();
  await eventually(() => expect(lines).toEqual(["the database cannot be reached yet; waiting for it"]));
  const server = await listen();
  await starting;
  expect(lines.slice(1)).toEqual(["the database is reached"]);
  server.close();
});

test("stops waiting for a database when it is stopped", async () => {
  const database = open({ host: folder });
  const starting = rejection(database.start());
  await database.stop();
  await database.stop();
  expect(String(await starting)).toContain("stopped before it could be reached");
});

test("does not wait where waiting cannot help", async () => {
  expect(String(await rejection(open({ database: "nowhere" }).start()))).toContain('"nowhere" does not exist');
});

test("refuses a Postgres that is too old", async () => {
  const old = await createEmptyDatabase();
  const { db } = open(old.connection);
  await sql`create function current_setting(text) returns text language sql as 'select ''140012'''`.execute(db);
  // The options of the session put the false function before the true one.
  const options = "-c search_path=public,pg_catalog";
  const error = await rejection(open({ ...old.connection, options }).start());
  expect(String(error)).toContain("needs PostgreSQL 15 or newer");
  await db.destroy();
  await old.drop();
});

test("brings the tables up to date once, however many processes start together", async () => {
  for (let round = 0; round < 3; round += 1) {
    const empty = await createEmptyDatabase();
    const { lines, log } = readableLog();
    const racers = Array.from({ length: 4 }, () => open(empty.connection, log));
    await Promise.all(racers.map((racer) => racer.start()));
    expect(lines).toEqual(["the database's tables are brought up to date"]);
    await Promise.all(racers.map((racer) => racer.stop()));
    await empty.drop();
  }
});

test("starts on tables that a later version has brought up to date, and says so", async () => {
  const empty = await createEmptyDatabase();
  const { lines, log } = readableLog();
  const start = async (all?: MigrationsFor) => {
    const database = open(empty.connection, log, all);
    await database.start();
    await database.stop();
  };
  const later: MigrationsFor = (done) => ({
    ...migrationsFor(done),
    "9999-later": { up: (db) => sql`alter table lease add column later int`.execute(db).then(() => undefined) },
  });
  await start();
  await start(later);
  lines.splice(0);
  await start();
  expect(lines).toEqual(["a later version has brought the database up to date"]);
  await start(later);
  expect((await empty.query("select name from kysely_migration")).rows).toHaveLength(migrationNames.length + 1);

  // One that was forgotten below a later one is not to be run on what came of that.
  await empty.query(`delete from kysely_migration where name = '${migrationNames.at(-1)}'`);
  expect(String(await rejection(start()))).toContain("cannot be brought up to date");
  await empty.drop();
});

test("outlives the end of a connection, idle or in use", async () => {
  const { db } = open({});
  const other = open({}).db;
  const end = async (pid: number) => {
    await sql`select pg_terminate_backend(${pid})`.execute(other);
    await eventually(async () => {
      const { rows } = await sql`select 1 from pg_stat_activity where pid = ${pid}`.execute(other);
      expect(rows).toEqual([]);
    });
  };
  const pid = sql<{ pid: number }>`select pg_backend_pid() as pid`;
  await db.connection().execute(async (connection) => {
    const [row] = (await pid.execute(connection)).rows;
    await end(row?.pid ?? 0);
    expect(isUnavailable(await rejection(pid.execute(connection)))).toBe(true);
  });
  const [row] = (await pid.execute(db)).rows;
  await end(row?.pid ?? 0);
  await eventually(() => pid.execute(db));
});

test("has no connection left once it is stopped", async () => {
  const watcher = open({});
  for (let round = 0; round < 5; round += 1) {
    const database = open({ application_name: "stopped" });
    await database.start();
    await Promise.all([1, 2, 3].map((value) => sql`select ${value}::int`.execute(database.db)));
    await sql`select 1`.execute(database.leaseDb);
    await database.stop();
    const { rows } = await sql`
      select pid from pg_stat_activity where application_name = 'stopped'`.execute(watcher.db);
    expect(rows).toEqual([]);
  }
});

test("never hands on a connection that still waits for an answer", async () => {
  const { db } = open({ max: 1, query_timeout: 200, statement_timeout: 0 });
  const error = await rejection(sql`select pg_sleep(20)`.execute(db));
  expect(String(error)).toContain("Query read timeout");
  expect(isUnavailable(error)).toBe(true);
  expect((await sql`select 1 as one`.execute(db)).rows).toEqual([{ one: 1 }]);
});

test("renews a lease although every other connection is in use", async () => {
  const database = open({});
  const order: string[] = [];
  const select = async (name: "db" | "leaseDb") => {
    await sql`select 1`.execute(database[name]);
    order.push(name);
  };
  let waiting = Promise.resolve();
  await database.db.connection().execute(async () => {
    await database.db.connection().execute(async () => {
      waiting = select("db");
      await select("leaseDb");
    });
  });
  await waiting;
  expect(order).toEqual(["leaseDb", "db"]);
});

test("keeps the values of a row that was refused out of its errors", async () => {
  const error = await rejection(sql`insert into lease values (null, now())`.execute(open({}).db));
  expect(error).toMatchObject({ code: "23502", detail: undefined });
});

test("distinguishes an unavailable database from a bug of ours", async () => {
  const { db } = open({ statement_timeout: 50 });
  const check = async (statement: RawBuilder<unknown>, database: Kysely<Tables>, expected: boolean) => {
    const error = await rejection(statement.execute(database));
    expect(isUnavailable(error), String(error)).toBe(expected);
  };
  await check(sql`select pg_sleep(20)`, db, true);
  await check(sql`select 1`, open({ host: "/nowhere" }).db, true);
  await check(sql`select 1`, open({ host: "127.0.0.1", port: 1 }).db, true);
  await check(sql`select nonsense`, db, false);
  await check(sql`select 1 / 0`, db, false);
  await check(sql`insert into lease values (null, now())`, db, false);
  expect(isUnavailable(new Error("any", { cause: Object.assign(new Error("reset"), { code: "ECONNRESET" }) }))).toBe(
    true,
  );
  expect(isUnavailable(undefined)).toBe(false);
});

/** One connection after the other, so that all statements are sent on the same one. */
async function openOne(): Promise<Kysely<Tables>> {
  const database = open({});
  await database.start();
  return database.leaseDb;
}

test("a statement that comes again is prepared once on its connection, and planned without its values", async () => {
  const db = await openOne();
  const ask = async (value: number) => await sql<{ twice: number }>`select 2 * ${value}::int as twice`.execute(db);
  for (const value of [1, 2, 3, 4]) {
    expect((await ask(value)).rows).toEqual([{ twice: 2 * value }]);
  }
  const { rows } = await sql`
    select generic_plans::int, custom_plans::int from pg_prepared_statements where statement like 'select 2 *%'`.execute(
    db,
  );
  expect(rows).toEqual([{ generic_plans: 3, custom_plans: 0 }]);
});

test("a prepared statement whose table has changed is sent once more, and fails within a transaction alone", async () => {
  const db = await openOne();
  await sql`create table growing as select 1 as id`.execute(db);
  const read = async (on: Kysely<Tables>) => (await sql`select * from growing where id = ${1}::int`.execute(on)).rows;
  for (let time = 0; time < 3; time += 1) {
    expect(await read(db)).toEqual([{ id: 1 }]);
  }
  await sql`alter table growing add column name text`.execute(db);
  expect(await read(db)).toEqual([{ id: 1, name: null }]);
  for (let time = 0; time < 3; time += 1) {
    await read(db);
  }
  await sql`alter table growing add column age int`.execute(db);
  await expect(db.transaction().execute(read)).rejects.toThrow(/cached plan/);
  expect(await db.transaction().execute(read)).toEqual([{ id: 1, name: null, age: null }]);
  await sql`drop table growing`.execute(db);
});

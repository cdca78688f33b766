import { sql } from "kysely";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newId } from "../../src/domain/id.ts";
import { Database } from "../../src/storage/postgres/database.ts";
import { WorkflowStore } from "../../src/storage/workflows/workflow-store.ts";
import { eventually } from "../support/eventually.ts";
import { openStores, type Stores } from "./fixture.ts";

let stores: Stores;
let database: Database;
/** The statements that hold a connection each, until the lock is given back that they wait for. */
let slow: Promise<unknown>[];
let unlock: () => Promise<void>;

beforeEach(async () => {
  stores = await openStores();
  database = stores.database;
  slow = [];
  const locked = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const holder = database.leaseDb.connection().execute(async (connection) => {
    await sql`select pg_advisory_lock(1)`.execute(connection);
    locked.resolve();
    await over.promise;
    await sql`select pg_advisory_unlock(1)`.execute(connection);
  });
  await locked.promise;
  unlock = async () => {
    over.resolve();
    await holder;
    await Promise.all(slow);
  };
});

afterEach(async () => {
  await unlock();
  await stores.close();
});

const lockAndLetGo = sql`select pg_advisory_unlock_shared(1) from (select pg_advisory_lock_shared(1)) as locked`;

function readSlowly(organizationId: string, count: number): void {
  for (let index = 0; index < count; index += 1) {
    const caller = { organizationId, environmentId: organizationId };
    slow.push(database.callers.run(caller, () => lockAndLetGo.execute(database.callsDb)));
  }
}

/** How many statements wait for the lock in the database: each has a connection. */
async function countSlow(): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from pg_locks
     where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())
  `.execute(database.lookUpDb);
  return rows[0]?.count ?? 0;
}

async function read(organizationId: string): Promise<unknown> {
  const caller = { organizationId, environmentId: organizationId };
  return await database.callers.run(caller, () => stores.workflows.list({ environmentId: newId() }, { pageSize: 1 }));
}

test("an organisation's slow reads take half of what calls may have, and another's are answered meanwhile", async () => {
  readSlowly("greedy", 50);
  await eventually(async () => expect(await countSlow()).toBe(4));
  expect(await read("other")).toEqual({ workflows: [] });
  readSlowly("second", 50);
  await eventually(async () => expect(await countSlow()).toBe(6));
  expect(await read("other")).toEqual({ workflows: [] });
  expect(await countSlow()).toBe(6);
});

test("the process's own work has connections however many organisations read slowly", async () => {
  for (let index = 0; index < 20; index += 1) {
    readSlowly(`organisation ${index}`, 3);
  }
  await eventually(async () => expect(await countSlow()).toBe(8));
  const owner = newId();
  expect(await Promise.all([1, 2, 3].map(() => stores.claims.listOwned(owner)))).toEqual([[], [], []]);
  expect(await countSlow()).toBe(8);
});

test("what calls share is sent as the process's own work, for whomever it is sent first", async () => {
  readSlowly("greedy", 50);
  await eventually(async () => expect(await countSlow()).toBe(4));
  const caller = { organizationId: "greedy", environmentId: "greedy" };
  const query = { ...caller, linkedAccountId: "none", executionId: newId() };
  expect(await database.callers.run(caller, () => stores.executions.getResult(query))).toBeUndefined();
});

test("one that waits has its turn long before all those of another that came earlier", async () => {
  readSlowly("greedy", 100);
  for (let index = 0; index < 8; index += 1) {
    readSlowly(`organisation ${index}`, 1);
  }
  await eventually(async () => expect(await countSlow()).toBe(8));
  const ended: string[] = [];
  for (const statement of slow) {
    void statement.then(() => ended.push("earlier"));
  }
  const late = ["a", "b"].map(async (id) => {
    const caller = { organizationId: id, environmentId: id };
    await database.callers.run(caller, () => sql`select 1`.execute(database.callsDb));
    ended.push("late");
  });
  await unlock();
  await Promise.all(late);
  expect(ended).toHaveLength(110);
  expect(ended.lastIndexOf("late")).toBeLessThan(50);
});

test("a connection that cannot be made is put back", async () => {
  const absent = new Database({ connection: () => ({ host: "/nowhere" }), log: pino({ level: "silent" }) });
  const list = () => new WorkflowStore(absent.callsDb).list({ environmentId: newId() }, { pageSize: 1 });
  const caller = { organizationId: "one", environmentId: "one" };
  for (let count = 0; count < 20; count += 1) {
    await expect(absent.callers.run(caller, list)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(list()).rejects.toMatchObject({ code: "ENOENT" });
  }
  await absent.stop();
});

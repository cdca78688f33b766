import { sql } from "kysely";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import { newIdAt } from "../../src/domain/id.ts";
import { Janitor } from "../../src/scheduler/rescue/janitor.ts";
import { ExecutionStore } from "../../src/storage/executions/execution-store.ts";
import { ExecutionReader } from "../../src/storage/history/execution-reader.ts";
import { createTenant, json, nodeRun, openStores, readJournal, type Stores, type Tenant } from "./fixture.ts";
import { explain, recordStatements } from "./statements.ts";

const dayMs = 86_400_000;
const retentionMs = 30 * dayMs;

let stores: Stores;
let tenant: Tenant;

beforeEach(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
});

afterEach(() => stores.close());

/** The name of the day that was so many days ago. */
function dayAgo(days: number): string {
  return new Date(Date.now() - days * dayMs).toISOString().slice(0, 10).replaceAll("-", "");
}

async function listPartitions(table: "execution" | "journal"): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`
    select inhrelid::regclass::text as name from pg_inherits where inhparent = ${table}::regclass order by 1`.execute(
    stores.db,
  );
  return rows.map(({ name }) => name);
}

/** Partitions of days that are over, which a service that ran then made. */
async function makePast(...days: readonly number[]): Promise<void> {
  for (const days_ of days) {
    const from = Math.floor(Date.now() / dayMs - days_) * 86_400;
    for (const table of ["execution", "journal"]) {
      await sql`create table ${sql.table(`${table}_${dayAgo(days_)}`)} partition of ${sql.table(table)}
        for values from (${sql.lit(hex(from))}) to (${sql.lit(hex(from + 86_400))})`.execute(stores.db);
    }
  }
}

function hex(seconds: number): string {
  return seconds.toString(16).padStart(8, "0");
}

type Past = { readonly days: number; readonly endedDays?: number; readonly key?: string };

/** An execution that was accepted some days ago, and ended some days ago if it has ended. */
async function execute({ days, endedDays, key }: Past): Promise<string> {
  const execution = { ...tenant.newExecution(), id: newIdAt(Date.now() - days * dayMs) };
  const { id: executionId } = execution;
  const { organizationId, environmentId } = tenant;
  await stores.executions.begin(execution, {
    owner: "a",
    ...(key !== undefined && { idempotencyKey: { key, fingerprint: "f" } }),
  });
  const claim = { organizationId, environmentId, executionId, owner: "a", epoch: 1 };
  await stores.executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")] });
  if (endedDays === undefined) {
    await stores.claims.suspend({ ...claim, ms: 60 * dayMs, wakeTime: Date.now() + 60 * dayMs });
  } else {
    await stores.executions.finish({ ...claim, outcome: { state: "COMPLETED", response: json("1") } });
    await sql`alter table execution disable trigger execution_is_final`.execute(stores.db);
    await sql`update execution set end_time = now() - make_interval(days => ${endedDays})
      where id = ${executionId}`.execute(stores.db);
    await sql`alter table execution enable trigger execution_is_final`.execute(stores.db);
  }
  return executionId;
}

async function runJanitor(): Promise<void> {
  const log = pino({ level: "silent" });
  const janitor = new Janitor({ ...stores, retentionMs, onMissed: () => undefined, clock: systemClock, log });
  await janitor.start();
  await janitor.stop();
}

async function listIds(table: "execution" | "journal" | "idempotency_key"): Promise<readonly string[]> {
  const column = table === "execution" ? "id" : "execution_id";
  const { rows } = await sql<{ id: string }>`
    select ${sql.ref(column)} as id from ${sql.table(table)} order by 1`.execute(stores.db);
  return rows.map(({ id }) => id);
}

describe("days of executions", () => {
  test("have partitions from today on, which are made once, whoever makes them", async () => {
    const made = await Promise.all(Array.from({ length: 4 }, () => stores.days.make()));
    const names = [0, -1, -2, -3].map(dayAgo);
    expect(made.flat().toSorted()).toEqual(
      ["execution", "journal"].flatMap((table) => names.map((name) => `${table}_${name}`)),
    );
    expect(await stores.days.make()).toEqual([]);
    expect(await listPartitions("journal")).toEqual([...names.map((name) => `journal_${name}`), "journal_default"]);
    const id = await execute({ days: 0, endedDays: 0 });
    const { rows } = await sql<{ name: string }>`
      select tableoid::regclass::text as name from execution where id = ${id}`.execute(stores.db);
    expect(rows).toEqual([{ name: `execution_${dayAgo(0)}` }]);
  });

  test("are dropped whole when nothing of them is kept any more, with their journals and keys", async () => {
    await makePast(40, 35, 31);
    await execute({ days: 40, endedDays: 40, key: "free" });
    await execute({ days: 35, endedDays: 34 });
    const kept = [await execute({ days: 31, endedDays: 31 }), await execute({ days: 20, endedDays: 20, key: "bound" })];
    await runJanitor();
    expect(await listPartitions("execution")).not.toContain(`execution_${dayAgo(40)}`);
    expect(await listPartitions("journal")).not.toContain(`journal_${dayAgo(35)}`);
    // The day in which the retention ends stays as it is, and one more for what another clock may have made.
    expect(await listPartitions("execution")).toContain(`execution_${dayAgo(31)}`);
    expect(await listIds("execution")).toEqual(kept);
    expect(await listIds("journal")).toEqual(kept);
    expect(await listIds("idempotency_key")).toEqual(kept.slice(1));
  });

  test("stay for an execution that waits for 60 days, while their other executions go", async () => {
    await makePast(50, 45);
    const waiting = await execute({ days: 50 });
    await execute({ days: 50, endedDays: 50, key: "free" });
    const lately = await execute({ days: 45, endedDays: 2, key: "late" });
    await execute({ days: 45, endedDays: 44 });
    await runJanitor();
    expect(await listIds("execution")).toEqual([waiting, lately]);
    expect(await listIds("journal")).toEqual([waiting, lately]);
    expect(await listIds("idempotency_key")).toEqual([lately]);
    const { environmentId } = tenant;
    expect((await readJournal(stores, { id: waiting, environmentId })).runs).toEqual([nodeRun("1")]);
    // It ends, and its end is long ago in turn.
    const outcome = { state: "STOPPED" } as const;
    await stores.executions.stop({ environmentId, executionId: waiting, outcome });
    await runJanitor();
    expect(await listIds("execution")).toContain(waiting);
    await sql`alter table execution disable trigger execution_is_final`.execute(stores.db);
    await sql`update execution set end_time = now() - interval '31 days'`.execute(stores.db);
    await runJanitor();
    expect(await listIds("execution")).toEqual([]);
    expect(await listPartitions("execution")).not.toContain(`execution_${dayAgo(50)}`);
  });

  test("stay for what was lost without a claim", async () => {
    await makePast(40);
    const lost = await execute({ days: 40 });
    await stores.db.deleteFrom("execution_claim").execute();
    const day = (await stores.days.listOld(retentionMs))[0];
    expect(day && (await stores.days.isNeeded({ ...day, ms: retentionMs }))).toBe(true);
    // Even if somebody said otherwise.
    await runJanitor();
    expect(await listIds("execution")).toEqual([lost]);
    expect(day && (await stores.days.drop(day))).toBe(false);
    expect(await listIds("execution")).toEqual([lost]);
  });

  test("whose partitions were not made by midnight keep their executions in the default one, which are found and deleted", async () => {
    const today = await execute({ days: 0, endedDays: 0 });
    expect(await stores.days.make()).toHaveLength(6);
    expect(await listPartitions("execution")).not.toContain(`execution_${dayAgo(0)}`);
    const found = await stores.reader.list({ environmentId: tenant.environmentId }, { pageSize: 10 });
    expect(found.executions.map(({ id }) => id)).toEqual([today]);
    await execute({ days: 40, endedDays: 31 });
    await runJanitor();
    expect(await listIds("execution")).toEqual([today]);
    expect(await listIds("journal")).toEqual([today]);
  });

  test("are dropped with what a killed process left of them, and with journals from before they had a partition", async () => {
    const early = await execute({ days: 40, endedDays: 40 });
    await sql`create table early as select * from execution`.execute(stores.db);
    await sql`delete from execution`.execute(stores.db);
    const from = Math.floor(Date.now() / dayMs - 40) * 86_400;
    await sql`create table ${sql.table(`execution_${dayAgo(40)}`)} partition of execution
      for values from (${sql.lit(hex(from))}) to (${sql.lit(hex(from + 86_400))})`.execute(stores.db);
    await sql`insert into execution select * from early`.execute(stores.db);
    await makePast(39);
    await sql`drop table ${sql.table(`execution_${dayAgo(39)}`)}`.execute(stores.db);
    expect(await listIds("journal")).toEqual([early]);
    await runJanitor();
    expect(await listIds("journal")).toEqual([]);
    expect(await listPartitions("journal")).not.toContain(`journal_${dayAgo(39)}`);
  });
});

describe("with many days", () => {
  const days = Array.from({ length: 30 }, (_, index) => index + 1);

  test("what a call writes and reads opens the partitions of its own day alone", async () => {
    await stores.days.make();
    await makePast(...days);
    const { organizationId, environmentId, linkedAccountId } = tenant;
    const statements = await recordStatements(stores, async (db) => {
      const executions = new ExecutionStore(db);
      const reader = new ExecutionReader(db);
      const execution = tenant.newExecution();
      const claim = { organizationId, environmentId, executionId: execution.id, owner: "a", epoch: 1 };
      await executions.begin(execution, { owner: "a" });
      await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")], answer: { response: json("1") } });
      await executions.finish({ ...claim, outcome: { state: "COMPLETED" } });
      await executions.recordFinished(tenant.newExecution(), { state: "COMPLETED", response: json("1") }, [
        nodeRun("1"),
      ]);
      await executions.getResult({ organizationId, environmentId, linkedAccountId, executionId: execution.id });
      await executions.listEnded([execution.id]);
      await executions.openJournal(execution);
      await reader.get({ environmentId, executionId: execution.id });
      await reader.listNodeRuns(execution, 1_000_000);
    });
    expect(statements.length).toBeGreaterThan(8);
    for (const statement of statements) {
      const plan = await explain(stores, statement);
      const opened = new Set([...plan.matchAll(/on ((?:execution|journal)_(?:default|\d+))/g)].map(([, name]) => name));
      expect(opened.size, `${statement.sql}\n${plan}`).toBeLessThanOrEqual(2);
    }
  });

  test("a page of the newest opens the partitions of some days alone, and one by a time those around it", async () => {
    await stores.days.make();
    await makePast(...days);
    for (let count = 0; count < 5; count += 1) {
      await execute({ days: 0, endedDays: 0 });
    }
    const { environmentId } = tenant;
    const list = async (filter: object) =>
      await recordStatements(stores, (db) =>
        new ExecutionReader(db).list({ environmentId, ...filter }, { pageSize: 4 }),
      );
    const opened = async (filter: object) => {
      const statements = await list(filter);
      expect(statements).toHaveLength(1);
      const plan = await explain(stores, statements[0] ?? ({ sql: "", parameters: [] } as never));
      return new Set([...plan.matchAll(/on (execution_(?:default|\d+))/g)].map(([, name]) => name)).size;
    };
    // Today, the three days before and after, and the default one.
    expect(await opened({})).toBeLessThanOrEqual(8);
    expect(await opened({ createdSince: new Date(Date.now() - 3_600_000) })).toBeLessThanOrEqual(8);
  });
});

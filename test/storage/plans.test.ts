import { type CompiledQuery, Kysely, PostgresDialect, sql } from "kysely";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ExecutionEvents } from "../../src/storage/execution-events.ts";
import { ExecutionReader } from "../../src/storage/execution-reader.ts";
import { ExecutionStore } from "../../src/storage/execution-store.ts";
import { Pool } from "../../src/storage/pool.ts";
import type { Tables } from "../../src/storage/tables.ts";
import { createTenant, json, nodeRun, openStores, type Stores, type Tenant } from "./fixture.ts";

let stores: Stores;
let tenant: Tenant;

beforeAll(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

/** Every statement of the execution store, as it is sent. */
async function recordStatements(): Promise<CompiledQuery[]> {
  const statements: CompiledQuery[] = [];
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({
      pool: new Pool({ connection: () => stores.connection, log: pino({ level: "silent" }), max: 1 }),
    }),
    log: ({ query }) => void statements.push(query),
  });
  const executions = new ExecutionStore(db);
  const execution = tenant.newExecution();
  const { environmentId, linkedAccountId } = tenant;
  const claim = { environmentId, executionId: execution.id, owner: "a", epoch: 1 };
  await executions.begin(execution, { owner: "a" });
  await executions.begin(tenant.newExecution(), { idempotencyKey: { key: "k", fingerprint: "f" } });
  await executions.listEnded([execution.id]);
  await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")] });
  await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")] });
  await executions.claim({ owner: "b", limit: 16 });
  await executions.listOwned("b");
  await executions.releaseStrays({ owner: "b", ids: [tenant.newExecution().id] });
  await executions.release({ owner: "c" });
  await executions.suspend({ ...claim, ms: 1 });
  await executions.getQueue(100);
  await executions.expire({ runMs: 1, ageMs: 3_600_000, limit: 10 });
  await executions.deleteEnded({ ms: 3_600_000, limit: 10 });
  await executions.finish({ ...claim, owner: "b", epoch: 2, outcome: { state: "COMPLETED" } });
  await executions.finish({ ...claim, outcome: { state: "COMPLETED" } });
  await executions.recordFinished(tenant.newExecution(), { state: "COMPLETED", response: json("1") }, [nodeRun("1")]);
  await executions.getResult({ environmentId, linkedAccountId, executionId: execution.id });
  await executions.stop({ environmentId, linkedAccountId, executionId: execution.id, outcome: { state: "STOPPED" } });
  const reader = new ExecutionReader(db);
  await reader.get({ environmentId, linkedAccountId, executionId: execution.id });
  await reader.listNodeRuns({ environmentId, id: execution.id });
  await new ExecutionEvents(db).read([{ environmentId, id: execution.id, nextFlush: 0 }]);
  await db.destroy();
  return statements.filter((statement) => /^(with|insert|select|update) /.test(statement.sql));
}

async function explain(statement: CompiledQuery): Promise<string> {
  const { rows } = await stores.db.executeQuery<{ "QUERY PLAN": string }>({
    ...statement,
    sql: `explain ${statement.sql}`,
  });
  return rows.map((row) => row["QUERY PLAN"]).join("\n");
}

/** Ended executions, and as many that wait. */
async function fill(ended: number, queued: number): Promise<void> {
  await sql`
    insert into execution (id, environment_id, workflow_id, version, linked_account_id, config_id, type, source,
      payload, headers, state, end_time)
    select lpad(to_hex(number), 24, '0'), ${tenant.environmentId}, ${tenant.workflowId}, 1, ${tenant.linkedAccountId},
      'c', 'ASYNC', 'API_CALL', '{}', '{}', 'COMPLETED', now()
    from generate_series(1, ${ended}) as number`.execute(stores.db);
  await sql`
    insert into journal (execution_id, environment_id, flush_index, epoch, entries)
    select id, environment_id, 0, 1, '[]' from execution on conflict do nothing`.execute(stores.db);
  await sql`
    insert into execution_claim (execution_id, environment_id, epoch)
    select lpad(to_hex(number), 24, '0'), ${tenant.environmentId}, 0 from generate_series(1, ${queued}) as number
    `.execute(stores.db);
}

it("no statement reads through what ever ran, nor through the queue, on tables that grew unseen and on large ones", async () => {
  const statements = await recordStatements();
  expect(statements.length).toBeGreaterThan(10);
  const check = async (forbidden: RegExp) => {
    for (const statement of statements) {
      expect(await explain(statement), statement.sql).not.toMatch(forbidden);
    }
  };
  await fill(20_000, 5_000);
  await check(/Seq Scan on (execution|journal)\s/);
  await sql`analyze`.execute(stores.db);
  await check(/Seq Scan on (execution|journal|execution_claim)\s|Merge Join/);
});

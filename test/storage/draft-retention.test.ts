import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newId } from "../../src/domain/id.ts";
import { deleteKeptDrafts } from "../../src/storage/executions/execution-retention.ts";
import { createTenant, openStores, type Stores, type Tenant } from "./fixture.ts";

const hourMs = 3_600_000;

let stores: Stores;
let tenant: Tenant;

beforeAll(async () => {
  stores = await openStores();
});

beforeEach(async () => {
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

/** Saves the draft anew; answers the number that it would be kept under. */
async function save(): Promise<number> {
  const { actor, workflowId } = tenant;
  return -(await stores.drafts.save(actor, { reference: { workflow: workflowId }, definition: "{}" })).revision;
}

async function keep(version: number): Promise<void> {
  const { environmentId, workflowId, linkedAccountId } = tenant;
  await stores.drafts.keep({ environmentId, workflowId, linkedAccountId, revision: -version });
}

/** An execution of a kept draft, which ended an hour ago where it has ended. */
async function run(version: number, { isEnded }: { readonly isEnded: boolean }): Promise<void> {
  const second = Math.floor((Date.now() - 2 * hourMs) / 1000);
  const id = second.toString(16).padStart(8, "0") + newId().slice(8);
  const execution = { ...tenant.newExecution(), id, version, source: "TEST" as const };
  await stores.executions.begin(execution, { owner: "a" });
  if (!isEnded) {
    return;
  }
  const claim = {
    organizationId: tenant.organizationId,
    environmentId: tenant.environmentId,
    executionId: id,
    owner: "a",
    epoch: 1,
  };
  await sql`alter table execution disable trigger execution_is_final`.execute(stores.db);
  await stores.executions.finish({ ...claim, outcome: { state: "COMPLETED" } });
  await stores.db
    .updateTable("execution")
    .set({ end_time: sql`now() - interval '1 hour'` })
    .where("id", "=", id)
    .execute();
  await sql`alter table execution enable trigger execution_is_final`.execute(stores.db);
}

/** Lets the workflow have been saved, or deleted, longer ago. */
async function age(column: "draft_update_time" | "delete_time"): Promise<void> {
  await sql`update workflow set ${sql.ref(column)} = ${sql.ref(column)} - interval '2 hours'
    where id = ${tenant.workflowId}`.execute(stores.db);
}

async function listKept(): Promise<readonly number[]> {
  const rows = await stores.db
    .selectFrom("workflow_version")
    .select("version")
    .where("environment_id", "=", tenant.environmentId)
    .where("version", "<", 0)
    .orderBy("version", "desc")
    .execute();
  return rows.map(({ version }) => version);
}

async function sweep(limit = 100): Promise<number> {
  let all = 0;
  let { count, next } = await stores.drafts.deleteKept({ limit });
  for (all += count; next !== undefined; all += count) {
    ({ count, next } = await stores.drafts.deleteKept({ after: next, limit }));
  }
  return all;
}

describe("a draft that was kept for its tests", () => {
  test("is deleted when it was saved anew and its executions are gone, and the current one is not", async () => {
    const first = await save();
    await keep(first);
    await run(first, { isEnded: true });
    const second = await save();
    await keep(second);
    await run(second, { isEnded: true });
    await age("draft_update_time");
    expect(await sweep()).toBe(0);
    await stores.executions.deleteEnded({ ms: hourMs / 2, limit: 10 });
    expect(await sweep()).toBe(1);
    expect(await listKept()).toEqual([second]);
    expect(await stores.versions.load({ ...tenant, version: 1 })).toBe("{}");
  });

  test("stays while a test runs, and while one that found it could still begin", async () => {
    const [idle, running] = [await save(), await save()];
    await stores.db
      .insertInto("workflow_version")
      .values({
        environment_id: tenant.environmentId,
        workflow_id: tenant.workflowId,
        version: idle,
        definition: "{}",
      })
      .execute();
    await keep(running);
    await run(running, { isEnded: false });
    await save();
    expect(await sweep()).toBe(0);
    await age("draft_update_time");
    expect(await sweep()).toBe(1);
    expect(await listKept()).toEqual([running]);
  });

  test("goes with its workflow, the current one too", async () => {
    await keep(await save());
    const { actor, workflowId } = tenant;
    await age("draft_update_time");
    await stores.workflows.delete(actor, { reference: { workflow: workflowId } });
    expect(await sweep()).toBe(0);
    await age("delete_time");
    expect(await sweep()).toBe(1);
  });

  test("is looked for page by page, whose end need not be deleted", async () => {
    for (let count = 0; count < 5; count += 1) {
      await keep(await save());
    }
    await age("draft_update_time");
    expect(await sweep(1)).toBe(4);
    expect(await listKept()).toHaveLength(1);
  });

  test("is deleted without reading what else was run, however much that is", async () => {
    const versions = [await save()];
    await keep(versions[0] ?? 0);
    for (let count = 1; count < 10; count += 1) {
      versions.push(await save());
      await keep(versions.at(-1) ?? 0);
    }
    const { environmentId, workflowId, linkedAccountId } = tenant;
    await sql`
      insert into execution (id, environment_id, workflow_id, version, linked_account_id, config_id, type, source,
        payload, headers, state, end_time)
      select lpad(to_hex(number), 24, '0'), ${environmentId}, ${workflowId}, 1, ${linkedAccountId}, 'c', 'ASYNC',
        'API_CALL', '{}', '{}', 'COMPLETED', now() from generate_series(1, 5000) as number`.execute(stores.db);
    await save();
    await age("draft_update_time");
    const { count, read } = await stores.db.transaction().execute(async (db) => {
      const { count } = await deleteKeptDrafts(db, { limit: 100 });
      const { rows } = await sql<{ read: number }>`
        select (seq_tup_read + coalesce(idx_tup_fetch, 0))::int as read from pg_stat_xact_user_tables
         where relid = 'execution'::regclass`.execute(db);
      return { count, read: rows[0]?.read };
    });
    expect(count).toBe(10);
    expect(read).toBeLessThan(100);
  });
});

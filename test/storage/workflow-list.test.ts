import { type Kysely, sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "../../src/domain/id.ts";
import { pageTokenOf } from "../../src/storage/postgres/page-token.ts";
import type { Tables } from "../../src/storage/postgres/tables.ts";
import { VersionStore } from "../../src/storage/workflows/version-store.ts";
import { WorkflowStore } from "../../src/storage/workflows/workflow-store.ts";
import { createTenant, openStores, type Stores, type Tenant } from "./fixture.ts";
import { recordStatements, rowsRead } from "./statements.ts";

let stores: Stores;
let tenant: Tenant;

beforeAll(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
  await stores.tenants.putIntegration(tenant.environmentId, { slug: "rare", name: "Rare" });
});

afterAll(() => stores.close());

/** Workflows one second apart, of which the newest are deleted, and one in a hundred is the integration `rare`'s. */
async function fill(count: number, deleted: number): Promise<void> {
  await sql`
    insert into workflow (environment_id, id, slug, name, create_time, delete_time)
    select ${tenant.environmentId}, lpad(to_hex(number), 24, '0'), case when number % 100 = 0 then 'rare' else 'asana' end,
      'W', now() - make_interval(secs => number), case when number <= ${deleted} then now() end
    from generate_series(1, ${count}) as number`.execute(stores.db);
  await sql`
    insert into workflow_version (environment_id, workflow_id, version, definition)
    select ${tenant.environmentId}, ${tenant.workflowId}, number, '{}' from generate_series(2, 5000) as number
    `.execute(stores.db);
}

test("a page of workflows, of an integration's or of versions reads itself and one row more, however many there are", async () => {
  const { environmentId, workflowId } = tenant;
  await fill(20_000, 5_000);
  const late = { createTime: new Date(Date.now() - 15_000_000), id: newId() };
  const check = async () => {
    for (const slug of [undefined, "rare", "asana"]) {
      for (const pageToken of [undefined, pageTokenOf(late, { of: "workflow", environmentId, slug })]) {
        const page = {
          pageSize: 50,
          ...(slug !== undefined && { slug }),
          ...(pageToken !== undefined && { pageToken }),
        };
        const list = (db: Kysely<Tables>) => new WorkflowStore(db).list({ environmentId }, page);
        for (const statement of await recordStatements(stores, list)) {
          const { plan, rows } = await rowsRead(stores, statement);
          expect(plan, statement.sql).not.toMatch(/Seq Scan|Sort/);
          expect(rows, plan).toBeLessThanOrEqual(51);
        }
      }
    }
    const versions = await recordStatements(stores, (db) =>
      new VersionStore(db).list(environmentId, workflowId, { pageSize: 50 }),
    );
    for (const statement of versions) {
      const { plan, rows } = await rowsRead(stores, statement);
      expect(plan, statement.sql).not.toMatch(/Seq Scan|Sort/);
      expect(rows, plan).toBeLessThanOrEqual(51);
    }
  };
  await check();
  await sql`analyze`.execute(stores.db);
  await check();
});

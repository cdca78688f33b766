import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AuditFilter } from "../../src/domain/audit.ts";
import { pageTokenOf } from "../../src/storage/postgres/page-token.ts";
import { AuditStore } from "../../src/storage/tenants/audit-store.ts";
import { createTenant, openStores, type Stores, type Tenant } from "./fixture.ts";
import { recordStatements, rowsRead } from "./statements.ts";

let stores: Stores;
let tenant: Tenant;

/** One second apart, the newest first; one in a hundred is of the rare resource, key and action. */
const count = 25_000;
const rare = { resource: "workflow/rare", keyId: "rare", action: "ROTATE" } as const;

beforeAll(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
  await sql`delete from audit_event`.execute(stores.db);
  await sql`
    insert into audit_event (environment_id, id, key_id, action, resource, create_time)
    select ${tenant.environmentId}, lpad(to_hex(number), 24, '0'),
      case when number % 100 = 0 then 'rare' else 'often' end,
      case when number % 100 = 0 then 'ROTATE' else 'UPDATE' end,
      case when number % 100 = 0 then 'workflow/rare' else 'workflow/often' end,
      now() - make_interval(secs => number)
    from generate_series(1, ${count}) as number`.execute(stores.db);
});

afterAll(() => stores.close());

/** How long each page was, and how many events they held. */
async function readPages(filter: Omit<AuditFilter, "environmentId">, pageSize: number) {
  const lengths: number[] = [];
  const ids = new Set<string>();
  let pageToken: string | undefined;
  do {
    const { environmentId } = tenant;
    const page = await stores.audit.list(
      { environmentId, ...filter },
      { pageSize, ...(pageToken !== undefined && { pageToken }) },
    );
    lengths.push(page.auditEvents.length);
    for (const { id } of page.auditEvents) {
      ids.add(id);
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined);
  return { lengths, found: ids.size };
}

test("a list holds each of those that are meant once, and goes on where a page looked through its part in vain", async () => {
  expect(await readPages({}, 10_000)).toEqual({ lengths: [10_000, 10_000, 5_000], found: count });
  expect(await readPages({ ...rare }, 200)).toEqual({ lengths: [200, 50], found: 250 });
  const none = { resource: "workflow/often", action: "ROTATE" } as const;
  expect(await readPages(none, 50)).toEqual({ lengths: [0, 0, 0], found: 0 });
});

test("a page reads itself and one row more where one index leads to it, and else at most what is looked through", async () => {
  const { environmentId } = tenant;
  const pageRows = 51;
  const scannedRows = 10_000;
  const cases: readonly (readonly [Omit<AuditFilter, "environmentId">, number])[] = [
    [{}, pageRows],
    [{ resource: rare.resource }, pageRows],
    [{ keyId: rare.keyId }, pageRows],
    [{ action: rare.action }, pageRows],
    [rare, pageRows],
    [{ createdBefore: new Date(Date.now() - 20_000_000) }, pageRows],
    [{ createdSince: new Date(Date.now() - 20_000_000), resource: rare.resource }, pageRows],
    [{ keyId: "often", action: "ROTATE" }, scannedRows],
  ];
  const check = async () => {
    for (const [rest, rowsMax] of cases) {
      const filter = { environmentId, ...rest };
      const late = { createTime: new Date(Date.now() - 15_000_000), id: "0".repeat(24) };
      for (const pageToken of [undefined, pageTokenOf(late, { of: "audit_event", ...filter })]) {
        const page = { pageSize: 50, ...(pageToken !== undefined && { pageToken }) };
        for (const statement of await recordStatements(stores, (db) => new AuditStore(db).list(filter, page))) {
          const { plan, rows } = await rowsRead(stores, statement);
          expect(plan, statement.sql).not.toMatch(/Seq Scan|Sort/);
          expect(rows, plan).toBeLessThanOrEqual(rowsMax);
        }
      }
    }
  };
  await check();
  await sql`analyze`.execute(stores.db);
  await check();
});

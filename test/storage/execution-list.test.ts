import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ExecutionFilter } from "../../src/domain/execution.ts";
import { ExecutionReader } from "../../src/storage/history/execution-reader.ts";
import { pageTokenOf } from "../../src/storage/postgres/page-token.ts";
import { createTenant, json, openStores, type Stores, type Tenant } from "./fixture.ts";
import { recordStatements, rowsRead } from "./statements.ts";

let stores: Stores;

beforeAll(async () => {
  stores = await openStores();
});

afterAll(() => stores.close());

/** The ids of every page, and how long each page was. */
async function readPages(filter: ExecutionFilter, pageSize: number, between?: () => Promise<unknown>) {
  const ids: string[] = [];
  const lengths: number[] = [];
  let pageToken: string | undefined;
  do {
    const page = await stores.reader.list(filter, { pageSize, ...(pageToken !== undefined && { pageToken }) });
    ids.push(...page.executions.map(({ id }) => id));
    lengths.push(page.executions.length);
    pageToken = page.nextPageToken;
    if (pageToken !== undefined) {
      await between?.();
    }
  } while (pageToken !== undefined);
  return { ids, lengths };
}

async function begin(tenant: Tenant, rest: object = {}, owner?: string): Promise<string> {
  const execution = { ...tenant.newExecution(), ...rest };
  await stores.executions.begin(execution, { owner });
  return execution.id;
}

async function finish({ organizationId, environmentId }: Tenant, executionId: string): Promise<void> {
  const outcome = { state: "ERRORED", error: { reason: "A", message: "a" } } as const;
  await stores.executions.finish({
    organizationId,
    environmentId,
    executionId,
    owner: "a",
    epoch: 1,
    outcome,
  });
}

/** Executions that completed, some tens of milliseconds apart, so that they have an order in time. */
async function fill({ environmentId, workflowId, linkedAccountId }: Tenant, count: number): Promise<void> {
  await sql`
    insert into execution (id, environment_id, workflow_id, version, linked_account_id, config_id, type, source,
      payload, headers, state, create_time, end_time, tag)
    select lpad(to_hex(extract(epoch from now() - make_interval(secs => 1 + number * 0.01))::bigint), 8, '0')
        || left(md5(${environmentId} || number), 16), ${environmentId}, ${workflowId}, 1, ${linkedAccountId}, 'c',
      'ASYNC', 'API_CALL', '{}', '{}', 'COMPLETED', now() - make_interval(secs => 1 + number * 0.01), now(),
      case when number % 100 = 0 then 'rare' end
    from generate_series(1, ${count}) as number`.execute(stores.db);
}

describe("a list of executions", () => {
  test("shows each once while others are begun and ended between the pages, newest first", async () => {
    const tenant = await createTenant(stores);
    const { environmentId } = tenant;
    const ids: string[] = [];
    for (let count = 0; count < 25; count += 1) {
      ids.push(await begin(tenant, {}, "a"));
    }
    await createTenant(stores).then((another) => begin(another));
    const pages = await readPages({ environmentId }, 4, async () => {
      await begin(tenant);
      await finish(tenant, ids.pop() ?? "");
    });
    expect(new Set(pages.ids).size).toBe(pages.ids.length);
    expect(pages.ids.length).toBe(25);
    const order = await sql<{ id: string }>`
      select id from execution where environment_id = ${environmentId} order by create_time desc, id desc`.execute(
      stores.db,
    );
    expect(pages.ids).toEqual(order.rows.map(({ id }) => id).filter((id) => pages.ids.includes(id)));
  });

  test("holds those that every filter means", async () => {
    const tenant = await createTenant(stores);
    const { environmentId, workflowId, linkedAccountId } = tenant;
    const queued = await begin(tenant, { tag: "blue" });
    const running = await begin(tenant, { type: "SYNC" }, "a");
    const errored = await begin(tenant, { source: "RERUN" }, "a");
    await finish(tenant, errored);
    const cases: readonly (readonly [
      Partial<Omit<ExecutionFilter, "workflowIds" | "linkedAccountIds">>,
      readonly string[],
    ])[] = [
      [{}, [queued, running, errored]],
      [{ states: ["QUEUED"] }, [queued]],
      [{ states: ["RUNNING"] }, [running]],
      [{ states: ["ERRORED"] }, [errored]],
      [{ states: ["COMPLETED"] }, []],
      [{ states: ["QUEUED", "RUNNING"] }, [queued, running]],
      [{ states: ["QUEUED", "ERRORED", "WAITING"] }, [queued, errored]],
      [{ errorReason: "A" }, [errored]],
      [{ errorReason: "B" }, []],
      [{ errorReason: "A", states: ["RUNNING"] }, []],
      [{ errorNodeId: "1" }, []],
      [{ idPrefix: errored }, [errored]],
      [{ idPrefix: queued.slice(0, 3) }, [queued, running, errored]],
      [{ idPrefix: "0" }, []],
      [{ idPrefix: `${queued.slice(0, 23)}${queued.endsWith("0") ? "1" : "0"}` }, []],
      [{ states: ["WAITING"] }, []],
      [{ type: "SYNC" }, [running]],
      [{ source: "RERUN" }, [errored]],
      [{ tag: "blue" }, [queued]],
      [{ tag: "blue", states: ["RUNNING"] }, []],
      [{ workflowId, linkedAccountId, tag: "blue", type: "ASYNC" }, [queued]],
      [{ workflowId: "0".repeat(24) }, []],
      [{ linkedAccountId: "jane@acme.io" }, []],
      [
        { createdSince: new Date(Date.now() - 60_000), createdBefore: new Date(Date.now() + 60_000) },
        [queued, running, errored],
      ],
      [{ createdSince: new Date(Date.now() + 60_000) }, []],
      [{ createdBefore: new Date(Date.now() - 60_000) }, []],
    ];
    for (const [filter, ids] of cases) {
      const pages = await readPages({ environmentId, ...filter }, 10);
      expect([filter, pages.ids.toSorted()]).toEqual([filter, ids.toSorted()]);
    }
  });

  test("leaves out payloads, responses and long errors", async () => {
    const tenant = await createTenant(stores);
    const { environmentId } = tenant;
    const message = "x".repeat(5_000);
    const outcome = { state: "ERRORED", response: json("1"), error: { reason: "A", message } } as const;
    await stores.executions.recordFinished(tenant.newExecution(), outcome, []);
    const { executions } = await stores.reader.list({ environmentId }, { pageSize: 1 });
    expect(executions).toEqual([expect.objectContaining({ state: "ERRORED", slug: "asana" })]);
    for (const name of ["payload", "response", "error"]) {
      expect(executions[0]).not.toHaveProperty(name);
    }
  });

  test("refuses a token that it did not give, and one that another list gave", async () => {
    const tenant = await createTenant(stores);
    const { environmentId } = tenant;
    await begin(tenant);
    await begin(tenant);
    const { nextPageToken: pageToken = "" } = await stores.reader.list({ environmentId }, { pageSize: 1 });
    expect((await stores.reader.list({ environmentId }, { pageSize: 1, pageToken })).executions).toHaveLength(1);
    const refused: readonly (readonly [Omit<ExecutionFilter, "workflowIds" | "linkedAccountIds">, string])[] = [
      [{ environmentId, tag: "blue" }, pageToken],
      [{ environmentId: tenant.environments.production }, pageToken],
      ...["", "x", "9".repeat(40), pageToken.slice(1)].map((bad) => [{ environmentId }, bad] as const),
    ];
    for (const [filter, token] of refused) {
      const list = stores.reader.list(filter, { pageSize: 1, pageToken: token });
      await expect(list).rejects.toMatchObject({ reason: "VALIDATION_ERROR" });
    }
  });
});

describe("a page costs the same wherever it is and whatever is meant", () => {
  let tenant: Tenant;

  beforeAll(async () => {
    tenant = await createTenant(stores);
    await sql`analyze`.execute(stores.db);
    await fill(tenant, 25_000);
    await begin(tenant);
  });

  test("looks through a bounded part, and a list with few of those that are meant goes on all the same", async () => {
    const { environmentId } = tenant;
    const none = await readPages({ environmentId, source: "RERUN" }, 50);
    expect(none).toEqual({ ids: [], lengths: [0, 0, 0] });
    const rare = await readPages({ environmentId, tag: "rare", states: ["COMPLETED"] }, 200);
    expect([rare.ids.length, new Set(rare.ids).size, rare.lengths]).toEqual([250, 250, [200, 50]]);
  });

  test("reads no more rows for a late page than for the first, on a table that grew unseen and on a known one", async () => {
    await checkPlans();
    await sql`analyze`.execute(stores.db);
    await checkPlans();
  });

  /** Where one index leads to what is meant, a page reads itself and one row more; else at most what is looked through. */
  async function checkPlans(): Promise<void> {
    const { environmentId, workflowId, linkedAccountId } = tenant;
    const pageRows = 51;
    const scannedRows = 10_000;
    const cases: readonly (readonly [Omit<ExecutionFilter, "workflowIds" | "linkedAccountIds">, number])[] = [
      [{ environmentId }, pageRows],
      [{ environmentId, workflowId }, pageRows],
      [{ environmentId, linkedAccountId }, pageRows],
      [{ environmentId, tag: "rare" }, pageRows],
      [{ environmentId, createdBefore: new Date(Date.now() - 230_000) }, pageRows],
      [{ environmentId, states: ["ERRORED"] }, scannedRows],
      [{ environmentId, states: ["WAITING"] }, scannedRows],
      [{ environmentId, states: ["WAITING", "ERRORED"] }, scannedRows],
      [{ environmentId, errorReason: "HTTP_STATUS", errorNodeId: "2" }, scannedRows],
      [{ environmentId, workflowId, linkedAccountId, tag: "rare", source: "RERUN", type: "SYNC" }, scannedRows],
    ];
    const late = { createTime: new Date(Date.now() - 240_000), id: "0".repeat(24) };
    for (const [filter, rowsMax] of cases) {
      const { states, ...rest } = filter;
      const filters = { of: "execution", ...rest, ...(states && { state: states.toSorted().join() }) };
      for (const pageToken of [undefined, pageTokenOf(late, filters)]) {
        for (const statement of await recordPage(filter, pageToken)) {
          const { plan, rows } = await rowsRead(stores, statement);
          expect(plan, statement.sql).not.toMatch(/Seq Scan on execution\s|Sort/);
          expect(rows, `${statement.sql}\n${plan}`).toBeLessThanOrEqual(rowsMax);
        }
      }
    }
    // What has not ended is found by its claims, which are few.
    for (const states of [["QUEUED"], ["RUNNING"], ["QUEUED", "RUNNING"]] as const) {
      for (const statement of await recordPage({ environmentId, states }, undefined)) {
        const { plan, rows } = await rowsRead(stores, statement);
        expect(plan, statement.sql).not.toMatch(/Seq Scan on execution\s/);
        expect(rows, `${statement.sql}\n${plan}`).toBeLessThanOrEqual(100);
      }
    }
  }
});

/** The statements of a page, as they are sent. */
async function recordPage(
  filter: Omit<ExecutionFilter, "workflowIds" | "linkedAccountIds">,
  pageToken: string | undefined,
) {
  const page = { pageSize: 50, ...(pageToken !== undefined && { pageToken }) };
  return await recordStatements(stores, (db) => new ExecutionReader(db).list(filter, page));
}

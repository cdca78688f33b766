import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { AccountId, Full } from "../../src/storage/claims/claim-queue.ts";
import { createTenant, openStores, type Stores, type Tenant } from "./fixture.ts";

let stores: Stores;
let tenant: Tenant;

beforeAll(async () => {
  stores = await openStores();
});

beforeEach(async () => {
  await stores.db.deleteFrom("execution_claim").execute();
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

const nobody: Full = { accounts: [], environmentIds: [], organizationIds: [] };

function account(linkedAccountId: string, { organizationId, environmentId } = tenant) {
  return { organizationId, environmentId, linkedAccountId };
}

async function queue(linkedAccountId: string, count = 1, of = tenant): Promise<readonly string[]> {
  const accountId = linkedAccountId;
  await stores.tenants.putLinkedAccount(of.environmentId, { accountId, name: "N", attributes: {} });
  const executions = Array.from({ length: count }, () => ({ ...of.newExecution(), linkedAccountId }));
  for (const execution of executions) {
    await stores.executions.begin(execution);
  }
  return executions.map(({ id }) => id);
}

async function putOff(ids: readonly string[]): Promise<void> {
  const due_time = new Date(Date.now() + 3_600_000);
  await stores.db.updateTable("execution_claim").set({ due_time }).where("execution_id", "in", ids).execute();
}

async function find(limit: number, last?: AccountId, full: Full = nobody) {
  return await stores.queue.nextAccounts({ after: undefined, last: last === undefined ? [] : [last], limit, full });
}

async function nextAccounts(...query: Parameters<typeof find>) {
  return (await find(...query)).accounts.map(({ linkedAccountId }) => linkedAccountId);
}

describe("the accounts that have something queued", () => {
  test("are served round robin, each once however much it has queued, those behind the last one first", async () => {
    const several = { b: 50, a: 2, d: 1, c: 1, e: 1 };
    for (const [name, count] of Object.entries(several)) {
      await queue(name, count);
    }
    expect((await find(9)).accounts).toEqual(["a", "b", "c", "d", "e"].map((name) => account(name)));
    expect(await nextAccounts(2)).toEqual(["a", "b", "c", "d"]);
    expect(await nextAccounts(2, account("b"))).toEqual(["c", "d", "e", "a"]);
    expect(await nextAccounts(9, account("d"))).toEqual(["e", "a", "b", "c", "d"]);
    expect(await nextAccounts(9, account("bb"))).toEqual(["c", "d", "e", "a", "b"]);
    expect(await nextAccounts(9, account("z"))).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("are passed over where nothing is due, or where they, their environment or their organisation may run no more", async () => {
    for (const name of ["a", "b", "c"]) {
      await queue(name);
    }
    await putOff(await queue("d"));
    expect(await nextAccounts(9)).toEqual(["a", "b", "c"]);
    expect(await nextAccounts(9, undefined, { ...nobody, accounts: [account("a")] })).toEqual(["b", "c"]);
    const elsewhere = [{ environmentId: tenant.environments.production, linkedAccountId: "a" }];
    expect(await nextAccounts(9, undefined, { ...nobody, accounts: elsewhere })).toEqual(["a", "b", "c"]);
    expect(await nextAccounts(9, undefined, { ...nobody, environmentIds: [tenant.environmentId] })).toEqual([]);
    expect(await nextAccounts(9, undefined, { ...nobody, organizationIds: [tenant.organizationId] })).toEqual([]);
  });

  test("are found of each environment, however many of one are queued or sleep", async () => {
    const other = await createTenant(stores);
    await queue("other", 1, other);
    const many = Array.from({ length: 150 }, (_, index) => `a${String(index).padStart(3, "0")}`);
    const asleep: string[] = [];
    for (const name of many) {
      asleep.push(...(await queue(name)));
    }
    const { accounts } = await find(16);
    expect(accounts).toContainEqual(account("other", other));
    expect(accounts.filter(({ organizationId }) => organizationId === tenant.organizationId)).toHaveLength(8);
    await putOff(asleep);
    await queue("z");
    const first = await find(16);
    expect(first.accounts).toEqual([account("other", other)]);
    expect(first.passed).toEqual([account("a099")]);
    expect(await nextAccounts(16, first.passed[0])).toContain("z");
  });

  test("are found behind many environments that have nothing due", async () => {
    const { environmentId } = tenant;
    await queue("a");
    const ids = Array.from({ length: 130 }, (_, index) => index.toString(16).padStart(24, "0"));
    await stores.db
      .insertInto("organization")
      .values(ids.map((id) => ({ id, name: "asleep" })))
      .execute();
    await stores.db
      .insertInto("environment")
      .values(ids.map((id) => ({ id, organization_id: id, kind: "test" as const })))
      .execute();
    await stores.db
      .insertInto("execution_claim")
      .values(ids.map((id) => ({ execution_id: id, environment_id: id, linked_account_id: "x", epoch: 0 })))
      .execute();
    await putOff(ids);
    const first = await find(16);
    expect(first).toEqual({ accounts: [], passed: [], next: ids[99] });
    const { accounts, next } = await stores.queue.nextAccounts({
      ...first,
      after: first.next,
      last: [],
      limit: 16,
      full: nobody,
    });
    expect({ accounts, next }).toEqual({ accounts: [{ ...account("a"), environmentId }], next: undefined });
  });

  test("give of their oldest what their shares say, to two who ask at once each its own", async () => {
    const many = await queue("a", 6);
    const few = await queue("b", 1);
    const shares = [
      { ...account("a"), count: 2 },
      { ...account("b"), count: 2 },
    ];
    const [first, second] = await Promise.all(["x", "y"].map((owner) => stores.claims.claim({ owner, shares })));
    const ids = [...(first ?? []), ...(second ?? [])].map(({ id }) => id).toSorted();
    expect(ids).toEqual([...many.slice(0, 4), ...few].toSorted());
  });

  test("are counted each, and so are organisations, up to two", async () => {
    await queue("a", 3);
    await queue("b");
    const { queued, organizations } = await stores.queue.count(100);
    expect(queued.toSorted()).toEqual([
      [tenant.environmentId, "a", 3, tenant.organizationId],
      [tenant.environmentId, "b", 1, tenant.organizationId],
    ]);
    expect(organizations).toBe(2);
  });
});

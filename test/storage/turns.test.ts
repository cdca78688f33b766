import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../src/domain/account.ts";
import type { Full } from "../../src/storage/queue.ts";
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

const nobody: Full = { accounts: [], environmentIds: [] };

function account(linkedAccountId: string): Account {
  return { organizationId: tenant.organizationId, environmentId: tenant.environmentId, linkedAccountId };
}

async function queue(linkedAccountId: string, count = 1): Promise<readonly string[]> {
  const accountId = linkedAccountId;
  await stores.tenants.putLinkedAccount(tenant.environmentId, { accountId, name: "N", attributes: {} });
  const executions = Array.from({ length: count }, () => ({ ...tenant.newExecution(), linkedAccountId }));
  for (const execution of executions) await stores.executions.begin(execution);
  return executions.map(({ id }) => id);
}

async function turns(limit: number, after?: Account, full: Full = nobody) {
  const { accounts, next } = await stores.executions.findTurns({ after, limit, full });
  return { accounts: accounts.map(({ linkedAccountId }) => linkedAccountId), next };
}

describe("the accounts that have something queued", () => {
  it("come by turns, each once however much it has queued, and from where it was left off", async () => {
    for (const [name, count] of [
      ["b", 50],
      ["a", 2],
      ["d", 1],
      ["c", 1],
    ] as const)
      await queue(name, count);
    expect(await turns(9)).toEqual({ accounts: ["a", "b", "c", "d"], next: undefined });
    expect(await turns(2)).toEqual({ accounts: ["a", "b"], next: account("b") });
    expect(await turns(2, account("b"))).toEqual({ accounts: ["c", "d"], next: account("d") });
    expect(await turns(2, account("d"))).toEqual({ accounts: [], next: undefined });
    expect(await turns(9, account("bb"))).toEqual({ accounts: ["c", "d"], next: undefined });
  });

  it("are passed over where nothing is due, or where they, or their environment, may run no more", async () => {
    for (const name of ["a", "b", "c"]) await queue(name);
    const [waits = ""] = await queue("d");
    const later = new Date(Date.now() + 3_600_000);
    await stores.db.updateTable("execution_claim").set({ due_time: later }).where("execution_id", "=", waits).execute();
    expect((await turns(9)).accounts).toEqual(["a", "b", "c"]);
    expect((await turns(1, undefined, { accounts: [account("a")], environmentIds: [] })).accounts).toEqual(["b"]);
    const elsewhere = [{ ...account("a"), environmentId: tenant.environments.production }];
    expect((await turns(1, undefined, { accounts: elsewhere, environmentIds: [] })).accounts).toEqual(["a"]);
    expect((await turns(9, undefined, { accounts: [], environmentIds: [tenant.environmentId] })).accounts).toEqual([]);
  });

  it("give of their oldest what their shares say, to two who ask at once each its own", async () => {
    const many = await queue("a", 6);
    const few = await queue("b", 1);
    const shares = [
      { ...account("a"), count: 2 },
      { ...account("b"), count: 2 },
    ];
    const [first, second] = await Promise.all(["x", "y"].map((owner) => stores.executions.claim({ owner, shares })));
    const ids = [...(first ?? []), ...(second ?? [])].map(({ id }) => id).toSorted();
    expect(ids).toEqual([...many.slice(0, 4), ...few].toSorted());
  });

  it("are counted each", async () => {
    await queue("a", 3);
    await queue("b");
    const { queued } = await stores.executions.getQueue(100);
    expect(queued.toSorted()).toEqual([
      [tenant.environmentId, "a", 3, tenant.organizationId],
      [tenant.environmentId, "b", 1, tenant.organizationId],
    ]);
  });
});

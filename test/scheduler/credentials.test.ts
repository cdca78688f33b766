import { randomBytes } from "node:crypto";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { resealCredentials, sealCredentials } from "../../src/scheduler/encryption/credentials.ts";
import { Sealing } from "../../src/scheduler/encryption/sealing.ts";
import { readVariables, sealVariable } from "../../src/scheduler/encryption/variables.ts";
import { createTenant, json, openStores, type Stores, type Tenant } from "../storage/fixture.ts";

const [first, second] = [randomBytes(32), randomBytes(32)];

let stores: Stores;
let tenant: Tenant;

beforeAll(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

function contextOf(accountId: string): string {
  return JSON.stringify(["connection", tenant.environmentId, accountId, "asana"]);
}

test("after a start with a new first key the old one opens nothing, and credentials open for their owner alone", async () => {
  const { connections, variables, linkedAccounts } = stores;
  const { environmentId } = tenant;
  const actor = { environmentId, keyId: "test" };
  const log = pino({ level: "silent" });
  const before = new Sealing(() => [first]);
  const accounts = Array.from({ length: 101 }, (_, index) => `account-${index}`);
  for (const accountId of accounts) {
    await linkedAccounts.put(actor, { accountId, attributes: json("{}") });
    const owner = { environmentId, accountId, slug: "asana" };
    await connections.put(actor, { ...owner, ...sealCredentials(before, owner, { token: accountId }), hints: {} });
  }
  const key = { environmentId, name: "KEY" };
  await variables.put(actor, { name: "KEY", ...sealVariable(before, key, "a secret"), hint: "", hosts: ["*"] }, 1);
  const rotated = new Sealing(() => [second, first]);
  await resealCredentials({ connections, variables, sealing: rotated, log });

  const after = new Sealing(() => [second]);
  const rows = await stores.db.selectFrom("connection").select(["account_id", "sealed"]).execute();
  expect(rows).toHaveLength(accounts.length);
  for (const { account_id, sealed } of rows) {
    expect(after.open(sealed, contextOf(account_id))?.toString()).toBe(JSON.stringify({ token: account_id }));
    expect(before.open(sealed, contextOf(account_id))).toBeUndefined();
    expect(after.open(sealed, contextOf(`${account_id}x`))).toBeUndefined();
  }

  const read = (sealing: Sealing) => readVariables({ variables, sealing }, environmentId, ["KEY", "NONE"]);
  expect(await read(after)).toEqual(new Map([["KEY", { value: "a secret", hosts: ["*"] }]]));
  expect(await read(before)).toEqual(new Map());
  await resealCredentials({ connections, variables, sealing: new Sealing(() => [randomBytes(32)]), log });
  const kept = await stores.db.selectFrom("connection").select("sealed").execute();
  expect(new Set(kept.map(({ sealed }) => sealed))).toEqual(new Set(rows.map(({ sealed }) => sealed)));
});

import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "../../src/domain/id.ts";
import { keyTextOf } from "../../src/domain/keys/api-key.ts";
import { KeyChecksums } from "../../src/domain/keys/key-checksum.ts";
import { Scope } from "../../src/gen/flowcall/v1/options_pb.ts";
import { ApiKeyStore } from "../../src/storage/tenants/api-key-store.ts";
import { createTenant, openStores, type Stores, type Tenant } from "./fixture.ts";
import { explain, recordStatements } from "./statements.ts";

let stores: Stores;
let tenant: Tenant;

beforeAll(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

async function give(text: string): Promise<string> {
  const { environmentId } = tenant;
  return await stores.tenants.createApiKey({ environmentId, ...keyTextOf(text), name: "given", scopes: [Scope.READ] });
}

const hashOf = (text: string) => keyTextOf(text).hash;

test("4,000 keys that somebody made up are a handful of statements, on connections that no call uses", async () => {
  const keyId = await give("tk-a-key-that-is-good");
  const invented = Array.from({ length: 4_000 }, () => hashOf(`tk${newId()}`));
  let found: readonly unknown[] = [];
  const statements = await recordStatements(stores, async (lookUpDb) => {
    const apiKeys = new ApiKeyStore({ db: stores.db, lookUpDb });
    const good = apiKeys.findUnsigned(hashOf("tk-a-key-that-is-good"));
    const rest = invented.map((hash) => apiKeys.findUnsigned(hash));
    found = await Promise.all([good, ...rest]);
  });
  expect(found.length).toBe(4_001);
  expect(found[0]).toMatchObject({ principal: { keyId } });
  expect(new Set(found.slice(1))).toEqual(new Set([undefined]));
  expect(statements.length).toBeLessThanOrEqual(6);
});

test("a look-up reads two indexes, whatever there is", async () => {
  await stores.db
    .insertInto("api_key")
    .values(
      Array.from({ length: 2_000 }, () => {
        const { hash, prefix } = keyTextOf(`tk${newId()}`);
        return { environment_id: tenant.environmentId, id: newId(), hash, prefix, name: "other", scopes: [Scope.READ] };
      }),
    )
    .execute();
  const [statement] = await recordStatements(stores, async (lookUpDb) => {
    await new ApiKeyStore({ db: lookUpDb, lookUpDb }).findUnsigned(hashOf("tk-nobody-has-this-key"));
  });
  if (statement === undefined) {
    throw new Error("there was no statement");
  }
  const plan = await explain(stores, statement);
  expect(plan).toContain("api_key_previous_hash");
  expect(plan).not.toContain("Seq Scan");
});

test("all processes of a database make keys with the secret that came with its tables", async () => {
  const secrets = await stores.apiKeys.listSecrets();
  expect(secrets).toEqual([{ id: expect.stringMatching(/^[\w-]{4}$/), secret: expect.any(Buffer) }]);
  const [one, other] = [new KeyChecksums(() => secrets), new KeyChecksums(() => secrets)];
  expect(other.originOf(one.newKey("production"))).toBe("MADE");
});

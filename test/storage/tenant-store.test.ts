import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Scope } from "../../src/gen/flowcall/v1/options_pb.ts";
import { createTenant, openStores, type Stores } from "./fixture.ts";

let stores: Stores;

beforeAll(async () => {
  stores = await openStores();
});

afterAll(() => stores.close());

test("knows a new database from one that is in use", async () => {
  expect(await stores.tenants.isEmpty()).toBe(true);
  await createTenant(stores);
  expect(await stores.tenants.isEmpty()).toBe(false);
});

test("finds who calls by the hash of a key, in the key's environment alone", async () => {
  const { apiKeys, tenants } = stores;
  const { organizationId, environments } = await tenants.createOrganization({ name: "acme" });
  const hash = createHash("sha256").update("tk_secret").digest("hex");
  const environmentId = environments.production;
  const scopes = [Scope.EXECUTE, Scope.ADMIN];
  const keyId = await tenants.createApiKey({ environmentId, hash, prefix: "tk_", name: "first", scopes });
  expect(await apiKeys.findPrincipal(hash)).toEqual({
    principal: { organizationId, environmentId, environment: "production", keyId, scopes },
  });
  expect(await apiKeys.findPrincipal(hash.replace(/^./, "x"))).toBeUndefined();
  await expect(
    tenants.createApiKey({ environmentId: environments.test, hash, prefix: "tk_", name: "again", scopes }),
  ).rejects.toThrow("api_key_hash_key");
});

test("replaces what is known of an integration and an account when they are put again", async () => {
  const { tenants, workflows } = stores;
  const { organizationId, environmentId, linkedAccountId } = await createTenant(stores);
  await tenants.putIntegration(environmentId, { slug: "asana", name: "Asana 2" });
  await tenants.putLinkedAccount(environmentId, { accountId: linkedAccountId });
  const { linkedAccount } = await workflows.resolveCall({
    organizationId,
    environmentId,
    reference: { workflow: "one" },
    linkedAccountId,
  });
  expect(linkedAccount).toEqual({ id: linkedAccountId, attributes: {} });
});

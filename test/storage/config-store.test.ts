import { afterAll, beforeAll, expect, test } from "vitest";
import { createTenant, json, openStores, type Stores, takeUp } from "./fixture.ts";

let stores: Stores;

beforeAll(async () => {
  stores = await openStores();
});

afterAll(() => stores.close());

test("whoever takes an execution over has the values of fields that it started with", async () => {
  const { newExecution } = await createTenant(stores);
  const fields = json('{"applicationFields":{"Region":"eu"},"workflowFields":{}}');
  const execution = { ...newExecution(), fields };
  await stores.executions.begin(execution);
  const [claimed] = await takeUp(stores, { owner: "another", limit: 1 });
  expect(claimed).toMatchObject({ id: execution.id, fields });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Outcome } from "../../src/domain/execution.ts";
import { createTenant, json, nodeRun, openStores, type Stores, type Tenant, takeUp } from "./fixture.ts";

let stores: Stores;
let tenant: Tenant;

const stopped: Outcome = { state: "STOPPED", error: { reason: "EXECUTION_STOPPED", message: "It was stopped." } };
const completed: Outcome = { state: "COMPLETED", response: json("1") };

beforeAll(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

/** An execution that an owner runs in epoch 1, or a queued one. */
async function begin(owner?: string) {
  const execution = tenant.newExecution();
  await stores.executions.begin(execution, { owner });
  const query = { environmentId: tenant.environmentId, executionId: execution.id };
  return { query, claim: { ...query, organizationId: tenant.organizationId, owner: owner ?? "nobody", epoch: 1 } };
}

/** Everything that is kept of an execution, to see that something did not change it. */
async function snapshot({ executionId }: { readonly executionId: string }) {
  return {
    execution: await stores.db.selectFrom("execution").selectAll().where("id", "=", executionId).execute(),
    claim: await stores.db.selectFrom("execution_claim").selectAll().where("execution_id", "=", executionId).execute(),
    journal: await stores.db.selectFrom("journal").selectAll().where("execution_id", "=", executionId).execute(),
  };
}

describe("a stop", () => {
  test("ends a queued execution, which nobody takes up any more", async () => {
    const { query } = await begin();
    expect(await stores.executions.stop({ ...query, outcome: stopped })).toMatchObject(stopped);
    expect(await stores.reader.find(query)).toMatchObject({ ...stopped, endTime: expect.any(Date) });
    expect(await takeUp(stores, { owner: "a" })).toEqual([]);
    expect((await stores.queue.count(9)).queued).toEqual([]);
  });

  test("ends a running execution in a new epoch, and what its owner writes later changes nothing", async () => {
    const { executions } = stores;
    const { query, claim } = await begin("a");
    await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")] });
    expect(await executions.stop({ ...query, outcome: stopped })).toMatchObject(stopped);
    const after = await snapshot(query);
    expect(after).toMatchObject({ execution: [{ state: "STOPPED", finished_epoch: 2 }], claim: [] });
    expect(await executions.append({ ...claim, flushIndex: 1, runs: [nodeRun("2")] })).toBe(false);
    const flush = { index: 1, runs: [nodeRun("2")] };
    expect(await executions.finish({ ...claim, outcome: completed, flush })).toBe(false);
    expect(await stores.claims.releaseOrphans({ owner: "a", ids: [query.executionId] })).toBe(0);
    expect(await snapshot(query)).toEqual(after);
  });

  test("changes nothing of one that has ended, of another account's or of another environment's", async () => {
    const { executions } = stores;
    const { query, claim } = await begin("a");
    const before = await snapshot(query);
    const foreign = { ...query, environmentId: tenant.environments.production };
    expect(await executions.stop({ ...foreign, outcome: stopped })).toBeUndefined();
    expect(await executions.stop({ ...query, linkedAccountId: "jane@acme.io", outcome: stopped })).toBeUndefined();
    expect(await snapshot(query)).toEqual(before);
    await executions.finish({ ...claim, outcome: completed });
    const ended = await snapshot(query);
    expect(await executions.stop({ ...query, outcome: stopped })).toBeUndefined();
    expect(await snapshot(query)).toEqual(ended);
  });

  test("that meets the end of the run leaves one of the two, and whoever lost knows it", async () => {
    const { executions } = stores;
    await Promise.all(
      Array.from({ length: 30 }, async () => {
        const { query, claim } = await begin("a");
        const [stop, isFinished] = await Promise.all([
          executions.stop({ ...query, outcome: stopped }),
          executions.finish({ ...claim, outcome: completed }),
        ]);
        const found = await stores.reader.find(query);
        expect([found?.state, isFinished]).toEqual(stop === undefined ? ["COMPLETED", true] : ["STOPPED", false]);
      }),
    );
  });
});

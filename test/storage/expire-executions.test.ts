import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTenant, json, nodeRun, openStores, type Stores, type Tenant, takeUp } from "./fixture.ts";

const hourMs = 3_600_000;
const completed = { state: "COMPLETED", response: json("1") } as const;

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

async function begin(owner?: string) {
  const execution = tenant.newExecution();
  await stores.executions.begin(execution, { owner });
  return {
    id: execution.id,
    organizationId: tenant.organizationId,
    environmentId: tenant.environmentId,
    executionId: execution.id,
    owner: owner ?? "",
    epoch: 1,
  };
}

/** Lets what is owned have been so for as much longer. */
async function age(ms: number): Promise<void> {
  await stores.db
    .updateTable("execution_claim")
    .set({ run_since: sql`run_since - make_interval(secs => ${ms / 1000})` })
    .execute();
}

async function expire(limits: { readonly runMs?: number; readonly ageMs?: number }): Promise<readonly string[]> {
  const ended = await stores.executions.expire({ runMs: hourMs, ageMs: hourMs, now: Date.now(), limit: 10, ...limits });
  return [...ended.keys()].toSorted();
}

async function stateOf(executionId: string): Promise<unknown> {
  const { organizationId, environmentId, linkedAccountId } = tenant;
  return (await stores.executions.getResult({ organizationId, environmentId, linkedAccountId, executionId }))?.state;
}

describe("an execution that runs for too long", () => {
  test("is ended in the database, whoever has it, and its owner's later writes change nothing", async () => {
    const [long, other] = [await begin("a"), await begin("b")];
    await age(hourMs + 1_000);
    const short = await begin("a");
    expect(await expire({})).toEqual([long.id, other.id].toSorted());
    const { linkedAccountId } = tenant;
    const result = await stores.executions.getResult({ ...long, linkedAccountId });
    expect(result).toMatchObject({ state: "TIMED_OUT", error: { reason: "EXECUTION_TIMED_OUT" } });
    expect(result?.error?.message).toMatch(/3600 seconds \(limit runMs\)/);
    expect(await stores.executions.finish({ ...long, outcome: completed })).toBe(false);
    expect(await stateOf(short.id)).toBe("RUNNING");
    expect(await expire({})).toEqual([]);
  });

  test("is counted over all its owners, without the time in which nobody had it", async () => {
    const execution = await begin("a");
    await age(hourMs / 2);
    await stores.claims.suspend({ ...execution, ms: 0, wakeTime: 0 });
    expect(await expire({})).toEqual([]);
    await takeUp(stores, { owner: "b", limit: 1 });
    await age(hourMs / 4);
    expect(await expire({})).toEqual([]);
    await stores.claims.release({ owner: "b" });
    await takeUp(stores, { owner: "c", limit: 1 });
    await age(hourMs / 4);
    expect(await expire({})).toEqual([execution.id]);
  });
});

test("an execution that is too old is ended while it waits", async () => {
  const waiting = await begin("a");
  await stores.claims.suspend({ ...waiting, ms: hourMs, wakeTime: 0 });
  expect(await expire({ ageMs: 60_000 })).toEqual([]);
  // Ids begin with their second: a limit that lies ahead makes this one old.
  expect(await expire({ ageMs: -60_000 })).toEqual([waiting.id]);
  expect(await stateOf(waiting.id)).toBe("TIMED_OUT");
});

describe("executions that ended long ago", () => {
  const before = (ms: number) => sql<Date>`now() - make_interval(secs => ${ms / 1000})`;

  /** Ended that long ago; its id is as old. */
  async function ended(agoMs: number): Promise<string> {
    const id = `${Math.floor((Date.now() - agoMs - 1_000) / 1000)
      .toString(16)
      .padStart(8, "0")}${tenant.newExecution().id.slice(8)}`;
    await stores.executions.recordFinished({ ...tenant.newExecution(), id }, completed, [nodeRun("1")]);
    await sql`alter table execution disable trigger execution_is_final`.execute(stores.db);
    await stores.db
      .updateTable("execution")
      .set({ end_time: before(agoMs) })
      .where("id", "=", id)
      .execute();
    await sql`alter table execution enable trigger execution_is_final`.execute(stores.db);
    return id;
  }

  test("are deleted with their journals, a few at a time, and no others", async () => {
    const old = [await ended(3 * hourMs), await ended(3 * hourMs), await ended(3 * hourMs)];
    const young = await ended(hourMs);
    const running = await begin("a");
    const retention = { ms: 2 * hourMs, limit: 2 };
    expect(await stores.executions.deleteEnded(retention)).toBe(2);
    expect(await stores.executions.deleteEnded(retention)).toBe(1);
    expect(await stores.executions.deleteEnded(retention)).toBe(0);
    const states = await Promise.all([...old, young, running.id].map(stateOf));
    expect(states).toEqual([undefined, undefined, undefined, "COMPLETED", "RUNNING"]);
    const left = await stores.db
      .selectFrom("journal")
      .select("execution_id")
      .where("execution_id", "in", old)
      .execute();
    expect(left).toEqual([]);
  });
});

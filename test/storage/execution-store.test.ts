import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Outcome } from "../../src/domain/execution.ts";
import { newId } from "../../src/domain/id.ts";
import type { Claim } from "../../src/storage/executions/execution-claim.ts";
import { ExecutionStore } from "../../src/storage/executions/execution-store.ts";
import { upgrades } from "../../src/storage/migrations/upgrades.ts";
import { until } from "../support/eventually.ts";
import { createTenant, json, nodeRun, openStores, readJournal, type Stores, type Tenant, takeUp } from "./fixture.ts";
import { recordStatements } from "./statements.ts";

let stores: Stores;
let tenant: Tenant;

const completed: Outcome = { state: "COMPLETED", response: json('{"a": "\\u0000", "b": 1.0}'), statusCode: 201 };
const errored: Outcome = {
  state: "ERRORED",
  error: { reason: "NODE_FAILED", message: "a \u0000 b", node_id: "3", node_name: "Call" },
};

beforeAll(async () => {
  stores = await openStores();
});

beforeEach(async () => {
  await stores.db.deleteFrom("execution_claim").execute();
  await stores.db.deleteFrom("lease").execute();
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

/** An execution that an owner with a live lease runs in epoch 1. */
async function begin(owner: string) {
  const execution = tenant.newExecution();
  await stores.leases.renew({ owner, ms: 60_000 });
  await stores.executions.begin(execution, { owner });
  const claim = {
    organizationId: tenant.organizationId,
    environmentId: tenant.environmentId,
    executionId: execution.id,
    owner,
    epoch: 1,
  };
  return { execution, claim };
}

function getResult(executionId: string) {
  const { organizationId, environmentId, linkedAccountId } = tenant;
  return stores.executions.getResult({ organizationId, environmentId, linkedAccountId, executionId });
}

async function claimIds(owner: string, limit = 10): Promise<string[]> {
  return (await takeUp(stores, { owner, limit })).map(({ id }) => id);
}

/** Everything that is kept of an execution, to see that something did not change it. */
async function snapshot(executionId: string) {
  return {
    execution: await stores.db.selectFrom("execution").selectAll().where("id", "=", executionId).execute(),
    claim: await stores.db.selectFrom("execution_claim").selectAll().where("execution_id", "=", executionId).execute(),
    journal: await stores.db.selectFrom("journal").selectAll().where("execution_id", "=", executionId).execute(),
  };
}

describe("an execution", () => {
  test("is queued, runs and ends, and answers text for text what it was given", async () => {
    const { executions } = stores;
    const execution = { ...tenant.newExecution(), tag: "blue" };
    await executions.begin(execution);
    expect(await getResult(execution.id)).toEqual({ state: "QUEUED" });
    expect(await stores.queue.count(9)).toEqual({
      queued: [[tenant.environmentId, tenant.linkedAccountId, 1, tenant.organizationId]],
      quarantined: 0,
      organizations: 1,
      dueInMs: undefined,
    });

    const [claimed] = await takeUp(stores, { owner: "a", limit: 1 });
    expect(claimed).toEqual({
      ...execution,
      dueTime: expect.closeTo(Date.now(), -5),
      epoch: 1,
      isQuarantined: false,
      isAnswered: false,
      quarantineRuns: 0,
      linkedAccount: { id: tenant.linkedAccountId, name: "John", attributes: { team: "red" } },
    });
    expect(await getResult(execution.id)).toEqual({ state: "RUNNING" });
    expect(await stores.queue.count(9)).toEqual({ queued: [], quarantined: 0, organizations: 1, dueInMs: undefined });

    const claim = {
      organizationId: tenant.organizationId,
      environmentId: tenant.environmentId,
      executionId: execution.id,
      owner: "a",
      epoch: 1,
    };
    expect(await executions.finish({ ...claim, outcome: completed })).toBe(true);
    expect(await getResult(execution.id.toUpperCase())).toEqual(completed);
    expect((await snapshot(execution.id)).claim).toEqual([]);
  });

  test("runs at once for the owner that begins it", async () => {
    const { execution, claim } = await begin("a");
    expect(await getResult(execution.id)).toEqual({ state: "RUNNING" });
    expect(await stores.executions.finish({ ...claim, outcome: errored })).toBe(true);
    expect(await getResult(execution.id)).toEqual(errored);
  });

  test("that answered much is read when its reader has room for it, and not before", async () => {
    const { organizationId, environmentId, linkedAccountId } = tenant;
    const execution = tenant.newExecution();
    const large: Outcome = { state: "COMPLETED", response: json(JSON.stringify("x".repeat(100_000))) };
    await stores.executions.recordFinished(execution, large, []);
    const query = { organizationId, environmentId, linkedAccountId, executionId: execution.id };
    const statements = await recordStatements(stores, async (db) => {
      const refused = new ExecutionStore(db).getResult(query, (bytes) => {
        throw new Error(`${bytes} bytes are too many`);
      });
      await expect(refused).rejects.toThrow("100002 bytes are too many");
    });
    expect(statements).toHaveLength(1);
    const reserved: number[] = [];
    expect(await stores.executions.getResult(query, (bytes) => reserved.push(bytes))).toEqual(large);
    expect(reserved).toEqual([100_002]);
    expect(await stores.executions.getResult({ ...query, linkedAccountId: "jane@acme.io" })).toBeUndefined();
  });

  test("that ran to its end before it was kept is kept as a whole", async () => {
    const execution = tenant.newExecution();
    await stores.executions.recordFinished(execution, completed, [nodeRun("1"), nodeRun("2")]);
    expect(await getResult(execution.id)).toEqual(completed);
    const { claim, journal } = await snapshot(execution.id);
    expect(claim).toEqual([]);
    expect(journal.map(({ entries }) => JSON.parse(entries))).toEqual([[nodeRun("1"), nodeRun("2")]]);
    const silent = tenant.newExecution();
    await stores.executions.recordFinished(silent, errored, []);
    expect(await getResult(silent.id)).toEqual(errored);
    expect((await snapshot(silent.id)).journal).toEqual([]);
  });

  test("cannot point into another environment", async () => {
    const other = await createTenant(stores);
    await stores.tenants.putLinkedAccount(other.environmentId, { accountId: "only@other.io" });
    const execution = tenant.newExecution();
    const foreign = [
      { ...execution, linkedAccountId: "only@other.io" },
      { ...execution, workflowId: other.workflowId },
      { ...execution, environmentId: other.environmentId },
      { ...execution, version: 2 },
    ];
    for (const wrong of foreign) {
      await expect(stores.executions.begin(wrong)).rejects.toThrow("does not exist in its environment");
      await expect(stores.executions.recordFinished(wrong, completed, [])).rejects.toThrow(
        "does not exist in its environment",
      );
      expect(await stores.db.selectFrom("execution").select("id").where("id", "=", wrong.id).execute()).toEqual([]);
    }
    expect(await stores.queue.count(9)).toEqual({
      queued: [],
      quarantined: 0,
      organizations: 2,
      dueInMs: undefined,
    });
  });

  test("is not found by another account or environment, nor by what is no id", async () => {
    const { execution } = await begin("a");
    const { environmentId, environments, linkedAccountId } = tenant;
    const { executions } = stores;
    const query = { ...execution, environmentId, linkedAccountId, executionId: execution.id };
    expect(await executions.getResult({ ...query, environmentId: environments.production })).toBeUndefined();
    expect(await executions.getResult({ ...query, linkedAccountId: "jane@acme.io" })).toBeUndefined();
    expect(await executions.getResult({ ...query, executionId: newId() })).toBeUndefined();
    expect(await executions.getResult({ ...query, executionId: "\u0000" })).toBeUndefined();
  });

  test("that waits for a time is owned by nobody, counted nowhere, and claimed when it is due", async () => {
    const { executions } = stores;
    const { execution, claim } = await begin("a");
    expect(await stores.claims.suspend({ ...claim, epoch: 2, ms: 60_000, wakeTime: 0 })).toBe(false);
    expect(await stores.claims.suspend({ ...claim, ms: 60_000, wakeTime: 0 })).toBe(true);
    expect(await getResult(execution.id)).toEqual({ state: "WAITING" });
    const { queued, dueInMs } = await stores.queue.count(9);
    expect([queued.length, dueInMs !== undefined && dueInMs > 0 && dueInMs <= 60_000]).toEqual([0, true]);
    expect(await claimIds("b")).toEqual([]);
    expect(await executions.append({ ...claim, flushIndex: 0, runs: [] })).toBe(false);
    await stores.db.updateTable("execution_claim").set({ due_time: sql`now()` }).execute();
    expect(await claimIds("b")).toEqual([execution.id]);
    expect(await getResult(execution.id)).toEqual({ state: "RUNNING" });
  });

  test("is counted in the queue up to a bound", async () => {
    for (let count = 0; count < 3; count += 1) {
      await stores.executions.begin(tenant.newExecution());
    }
    expect((await stores.queue.count(2)).queued.map(([, , count]) => count)).toEqual([2]);
  });

  test("never changes once it has ended, whatever a statement says", async () => {
    const { execution, claim } = await begin("a");
    await stores.executions.finish({ ...claim, outcome: completed });
    const update = stores.db.updateTable("execution").set({ response: json("1") });
    await expect(update.where("id", "=", execution.id).execute()).rejects.toThrow("is final");
  });
});

describe("a response", () => {
  const answer = { response: json('{"a": 1.0}'), statusCode: 201 };

  test("is there from the commit of its node's record on, and an end leaves it", async () => {
    const { executions, reader } = stores;
    const { execution, claim } = await begin("a");
    const query = { environmentId: tenant.environmentId, executionId: execution.id };
    await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")] });
    expect(await getResult(execution.id)).toEqual({ state: "RUNNING" });
    expect(await executions.append({ ...claim, flushIndex: 1, runs: [nodeRun("2")], answer })).toBe(true);
    expect(await getResult(execution.id)).toEqual({ state: "RUNNING", ...answer });
    expect(await reader.get(query)).toMatchObject({ state: "RUNNING", ...answer });
    expect(await reader.getResponse({ environmentId: tenant.environmentId, id: execution.id })).toBe(answer.response);
    expect(await executions.finish({ ...claim, outcome: errored })).toBe(true);
    expect(await getResult(execution.id)).toEqual({ ...errored, ...answer });
  });

  test("is written once: a later one, and that of an end, change nothing", async () => {
    const { executions } = stores;
    const { execution, claim } = await begin("a");
    await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")], answer });
    await executions.append({ ...claim, flushIndex: 1, runs: [nodeRun("2")], answer: { response: json("2") } });
    expect(await getResult(execution.id)).toEqual({ state: "RUNNING", ...answer });
    await executions.finish({ ...claim, outcome: { state: "COMPLETED", response: json("3") } });
    expect(await getResult(execution.id)).toEqual({ state: "COMPLETED", ...answer });
  });

  test("of an owner that has lost the execution is not written, nor without its node's record", async () => {
    const { executions } = stores;
    const { execution, claim } = await begin("a");
    expect(await executions.append({ ...claim, epoch: 9, flushIndex: 0, runs: [nodeRun("1")], answer })).toBe(false);
    await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")] });
    expect(await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")], answer })).toBe(true);
    expect(await getResult(execution.id)).toEqual({ state: "RUNNING" });
    await takeOver(execution.id);
    expect(await executions.append({ ...claim, flushIndex: 1, runs: [nodeRun("2")], answer })).toBe(false);
    expect(await getResult(execution.id)).toEqual({ state: "RUNNING" });
  });

  test("is left by a take-over, a stop, the limits of time and the rule for poison", async () => {
    const { executions } = stores;
    const others = await Promise.all([begin("a"), begin("a"), begin("a"), begin("a")]);
    for (const { claim } of others) {
      await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")], answer });
    }
    const [taken, stopped, expired, poisoned] = others.map(({ execution }) => execution.id);
    const of = (id = "") => ({ environmentId: tenant.environmentId, executionId: id });
    const stop = { state: "STOPPED", error: { reason: "EXECUTION_STOPPED", message: "It was stopped." } } as const;
    expect(await executions.stop({ ...of(stopped), outcome: stop })).toMatchObject({ ...stop, ...answer });
    expect(await getResult(stopped ?? "")).toEqual({ ...stop, ...answer });
    const claims = stores.db.updateTable("execution_claim");
    await claims
      .set({ losses: 4 })
      .where("execution_id", "=", poisoned ?? "")
      .execute();
    await claims
      .set({ run_since: sql`now() - interval '1 hour'` })
      .where("execution_id", "=", expired ?? "")
      .execute();
    const ended = await executions.expire({ runMs: 60_000, ageMs: 3_600_000, now: Date.now(), limit: 10 });
    expect([...ended.keys()].toSorted()).toEqual([expired, poisoned].toSorted());
    expect(await getResult(expired ?? "")).toMatchObject({ state: "TIMED_OUT", ...answer });
    expect(await getResult(poisoned ?? "")).toMatchObject({ error: { reason: "EXECUTION_POISONED" }, ...answer });
    await takeOver(taken ?? "");
    expect(await getResult(taken ?? "")).toEqual({ state: "RUNNING", ...answer });
  });

  test("is there at once where the journal begins with its node's record", async () => {
    const execution = tenant.newExecution();
    const flushes = [
      { index: 0, runs: [nodeRun("1")] },
      { index: 1, runs: [nodeRun("2")] },
    ];
    await stores.executions.begin(execution, { flushes, answer });
    expect(await getResult(execution.id)).toEqual({ state: "QUEUED", ...answer });
  });

  test("never changes, whatever a statement says: a process of an earlier version writes null over it", async () => {
    const { execution, claim } = await begin("a");
    await stores.executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")], answer });
    const update = stores.db.updateTable("execution").set({ response: null, status_code: null });
    await update.where("id", "=", execution.id).execute();
    expect(await getResult(execution.id)).toEqual({ state: "RUNNING", ...answer });
  });

  test("is made up for by an upgrade, where a release before the rule let an execution sleep without one", async () => {
    const { workflowId, actor } = tenant;
    const definition = '{"nodes":[{"id":"1","name":"R","response":{"data":"1"}}]}';
    const { revision } = await stores.drafts.save(actor, { reference: { workflow: workflowId }, definition });
    const number = await stores.versions.publish(actor, { workflowId, revision });
    const sleep = async ({ version = number, isRecorded = true, isAnswered = false }) => {
      const execution = { ...tenant.newExecution(), version };
      const flushes = isRecorded ? [{ index: 0, runs: [nodeRun("1")] }] : [];
      await stores.executions.begin(execution, { owner: "a", flushes, ...(isAnswered && { answer }) });
      const { organizationId, environmentId } = tenant;
      const claim = { organizationId, environmentId, executionId: execution.id, owner: "a", epoch: 1 };
      await stores.claims.suspend({ ...claim, ms: 3_600_000, wakeTime: Date.now() + 3_600_000 });
      return execution.id;
    };
    const woken = await sleep({});
    const others = [await sleep({ isAnswered: true }), await sleep({ isRecorded: false }), await sleep({ version: 1 })];
    const claims = async (ids: readonly string[]) => {
      const isSoon = sql<boolean>`due_time < now() + interval '11 minutes'`.as("isSoon");
      const rows = stores.db.selectFrom("execution_claim").select(["wake_time", isSoon]);
      return (await rows.where("execution_id", "in", ids).execute()).map((row) => [row.isSoon, row.wake_time === null]);
    };
    await upgrades["0024-wake-for-responses"]?.up(stores.db);
    expect(await claims([woken])).toEqual([[true, true]]);
    expect(await claims(others)).toEqual(others.map(() => [false, false]));
  });

  test("costs no statement of its own", async () => {
    const statements = await recordStatements(stores, async (db) => {
      const execution = tenant.newExecution();
      const { organizationId, environmentId } = tenant;
      const store = new ExecutionStore(db);
      await store.begin(execution, { owner: "a" });
      const claim = { organizationId, environmentId, executionId: execution.id, owner: "a", epoch: 1 };
      await store.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")], answer });
      await store.finish({ ...claim, outcome: { state: "COMPLETED", ...answer } });
      await store.recordFinished(tenant.newExecution(), { state: "COMPLETED", ...answer }, [nodeRun("1")]);
    });
    expect(statements.map(({ sql: text }) => /^\s*(begin|commit)\b/.test(text))).toEqual([false, false, false, false]);
  });
});

/** Lets another owner take an execution over. */
async function takeOver(executionId: string): Promise<void> {
  await stores.db
    .updateTable("execution_claim")
    .set({ owner: "z", epoch: 2 })
    .where("execution_id", "=", executionId)
    .execute();
}

describe("a write whose answer was lost", () => {
  test("can be repeated: what had been committed is recognised", async () => {
    const { executions } = stores;
    const { execution, claim } = await begin("a");
    await executions.begin(execution, { owner: "a" });
    const entry = { ...claim, flushIndex: 0, runs: [nodeRun("1")] };
    expect(await executions.append(entry)).toBe(true);
    expect(await executions.append(entry)).toBe(true);
    const end = { ...claim, outcome: completed, flush: { index: 1, runs: [nodeRun("2")] } };
    expect(await executions.finish(end)).toBe(true);
    const before = await snapshot(execution.id);
    expect(before.journal.length).toBe(2);
    expect(await executions.finish(end)).toBe(true);
    await executions.begin(execution, { owner: "a" });
    await executions.begin(execution);
    await executions.recordFinished(execution, errored, [nodeRun("1")]);
    expect(await snapshot(execution.id)).toEqual(before);
  });
});

describe("a process that lost an execution", () => {
  test("changes nothing of it, and learns that", async () => {
    const { executions, leases } = stores;
    const { execution, claim } = await begin("a");
    await leases.drop("a");
    expect(await claimIds("b")).toEqual([execution.id]);
    const before = await snapshot(execution.id);
    expect(await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")] })).toBe(false);
    expect(await executions.finish({ ...claim, outcome: completed, flush: { index: 0, runs: [] } })).toBe(false);
    expect(await stores.claims.release({ owner: "a" })).toBe(0);
    expect(await snapshot(execution.id)).toEqual(before);

    expect(await executions.finish({ ...claim, owner: "b", epoch: 2, outcome: errored })).toBe(true);
    expect(await executions.finish({ ...claim, outcome: completed })).toBe(false);
    expect(await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")] })).toBe(false);
    expect(await getResult(execution.id)).toEqual(errored);
  });

  test("is told apart from the owner by each of owner, epoch and environment", async () => {
    const { executions } = stores;
    const { execution, claim } = await begin("a");
    const before = await snapshot(execution.id);
    for (const wrong of [{ owner: "b" }, { epoch: 2 }, { environmentId: tenant.environments.production }]) {
      expect(await executions.append({ ...claim, ...wrong, flushIndex: 0, runs: [] })).toBe(false);
      expect(await executions.finish({ ...claim, ...wrong, outcome: completed })).toBe(false);
    }
    expect(await snapshot(execution.id)).toEqual(before);
  });

  test("hands over everything that it was told is kept, even what it writes at that moment", async () => {
    const { executions, leases } = stores;
    const begun = await Promise.all(Array.from({ length: 20 }, () => begin("a")));
    await leases.drop("a");
    const appendAll = async ({ claim }: (typeof begun)[number]) => {
      for (let flushIndex = 0; ; flushIndex += 1) {
        if (!(await executions.append({ ...claim, flushIndex, runs: [nodeRun(String(flushIndex))] }))) {
          return [claim.executionId, flushIndex] as const;
        }
      }
    };
    const appending = Promise.all(begun.map(appendAll));
    const taken = new Map<string, number>();
    while (taken.size < begun.length) {
      for (const claimed of await takeUp(stores, { owner: "b", limit: 3 })) {
        const { id } = claimed;
        const { runs, nextFlushIndex } = await readJournal(stores, claimed);
        expect(runs).toEqual(Array.from({ length: nextFlushIndex }, (_, index) => nodeRun(String(index))));
        taken.set(id, nextFlushIndex);
      }
    }
    expect(taken).toEqual(new Map(await appending));
  });
});

describe("a claim", () => {
  test("takes the oldest that are due, at most as many as asked for", async () => {
    const { executions, db } = stores;
    const queued = [];
    for (let count = 0; count < 4; count += 1) {
      const execution = tenant.newExecution();
      await executions.begin(execution);
      queued.push(execution.id);
    }
    const [later = ""] = queued;
    await db
      .updateTable("execution_claim")
      .set({ due_time: new Date(Date.now() + 3_600_000) })
      .where("execution_id", "=", later)
      .execute();
    expect(await claimIds("a", 2)).toEqual(queued.slice(1, 3));
    expect(await claimIds("a")).toEqual(queued.slice(3));
    expect(await claimIds("a")).toEqual([]);
  });

  test("claims the others where one cannot be read, and reports that one", async () => {
    const { executions, db } = stores;
    const ids: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      const execution = tenant.newExecution();
      await executions.begin(execution);
      ids.push(execution.id);
    }
    const [bad = "", ...good] = ids;
    // As a torn page would: what the account has is no JSON, for one execution's account alone.
    await stores.tenants.putLinkedAccount(tenant.environmentId, { accountId: "bad" });
    await sql`update linked_account set attributes = '{' where account_id = 'bad'`.execute(db);
    await sql`update execution set linked_account_id = 'bad' where id = ${bad}`.execute(db);
    const unread: [Claim, unknown][] = [];
    const shares = [{ ...tenant, count: 10 }];
    const onUnread = (claim: Claim, error: unknown) => void unread.push([claim, error]);
    const claimed = await stores.claims.claim({ owner: "a", shares, onUnread });
    expect(claimed.map(({ id }) => id)).toEqual(good);
    const claim = { environmentId: tenant.environmentId, executionId: bad, owner: "a", epoch: 1 };
    expect(unread).toEqual([[claim, expect.any(SyntaxError)]]);
  });

  test("takes all that can be read where the database cannot read one of them", async () => {
    const { executions, db } = stores;
    const ids: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      const execution = tenant.newExecution();
      await executions.begin(execution);
      ids.push(execution.id);
    }
    const [bad = "", ...good] = ids;
    // A row that fails whoever reads it, as one does whose TOAST chunks are gone.
    await sql`alter table execution rename to whole_execution`.execute(db);
    await sql`create function torn(id text, payload text) returns text language plpgsql as $$
      begin
        if id = ${sql.lit(bad)} then raise 'missing chunk number 0'; end if;
        return payload;
      end $$`.execute(db);
    await sql`create view execution as select environment_id, id, workflow_id, version, linked_account_id, config_id, tag,
      type, source, torn(id, payload) as payload, headers, fields, origin_id, response from whole_execution`.execute(
      db,
    );
    try {
      const unread: string[] = [];
      const shares = [{ ...tenant, count: 10 }];
      const onUnread = ({ executionId }: Claim, error: unknown) => void unread.push(`${executionId} ${error}`);
      const claimed: string[] = [];
      // Postgres says that a statement failed before it gives up its locks, so that the row may be skipped once.
      await until("all three are read", async () => {
        for (const { id } of await stores.claims.claim({ owner: "a", shares, onUnread })) {
          claimed.push(id);
        }
        return claimed.length + unread.length === ids.length;
      });
      expect(claimed).toEqual(good);
      expect(unread).toEqual([`${bad} error: missing chunk number 0`]);
    } finally {
      await sql`drop view execution`.execute(db);
      await sql`drop function torn`.execute(db);
      await sql`alter table whole_execution rename to execution`.execute(db);
    }
  });

  test("knows how large a journal is before it reads any that is large, and reads it a part at a time", async () => {
    const { executions } = stores;
    const { execution, claim } = await begin("a");
    const large = { ...nodeRun("x"), output: json(JSON.stringify("x".repeat(900_000))) };
    for (let flushIndex = 0; flushIndex < 7; flushIndex += 1) {
      await executions.append({ ...claim, flushIndex, runs: [{ ...large, path: String(flushIndex) }] });
    }
    const statements = await recordStatements(stores, async (db) => {
      const { bytes, nextFlushIndex, read } = await new ExecutionStore(db).openJournal(execution);
      expect(bytes).toBeGreaterThan(7 * 900_000);
      expect(nextFlushIndex).toBe(7);
      const parts: string[][] = [];
      for await (const runs of read()) {
        parts.push(runs.map(({ path }) => path));
      }
      expect(parts).toEqual([..."0123456"].map((path) => [path]));
    });
    expect(statements.filter((statement) => statement.sql.includes("journal")).length).toBe(3);
  });

  test("is never given to two", async () => {
    const { executions } = stores;
    const begun = Array.from({ length: 60 }, () => tenant.newExecution());
    await Promise.all(begun.map((execution) => executions.begin(execution)));
    for (const owner of ["a", "b", "c"]) {
      await stores.leases.renew({ owner, ms: 60_000 });
    }
    const taken: string[] = [];
    const take = async (owner: string) => {
      for (let ids = await claimIds(owner, 4); ids.length > 0; ids = await claimIds(owner, 4)) {
        taken.push(...ids);
      }
    };
    await Promise.all(["a", "b", "c", "a", "b", "c"].map(take));
    expect(taken.toSorted()).toEqual(begun.map(({ id }) => id).toSorted());
  });

  test("takes over from an owner whose lease ended or is missing, with what that owner wrote", async () => {
    const { executions, leases } = stores;
    const { execution, claim } = await begin("a");
    await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1"), nodeRun("2")] });
    await executions.append({ ...claim, flushIndex: 1, runs: [nodeRun("3")] });
    expect(await claimIds("b")).toEqual([]);

    await leases.renew({ owner: "a", ms: -1 });
    const [second] = await takeUp(stores, { owner: "b", limit: 10 });
    expect(second).toMatchObject({ id: execution.id, epoch: 2 });
    const journal = await readJournal(stores, execution);
    expect(journal).toMatchObject({ nextFlushIndex: 2, runs: [nodeRun("1"), nodeRun("2"), nodeRun("3")] });
    expect(await claimIds("b"), "its own").toEqual([]);

    const [third] = await takeUp(stores, { owner: "c", limit: 10 });
    expect(third).toMatchObject({ id: execution.id, epoch: 3 });
  });

  test("counts what was abandoned in its limit", async () => {
    const { executions } = stores;
    const abandoned = [tenant.newExecution(), tenant.newExecution()];
    for (const execution of abandoned) {
      await executions.begin(execution, { owner: "gone" });
    }
    const queued = [tenant.newExecution(), tenant.newExecution()];
    for (const execution of queued) {
      await executions.begin(execution);
    }
    expect((await claimIds("a", 3)).toSorted()).toEqual(
      [...abandoned, ...queued.slice(0, 1)].map(({ id }) => id).toSorted(),
    );
  });
});

describe("a release", () => {
  test("puts what an owner holds back into the queue, and fences that owner", async () => {
    const { executions } = stores;
    const first = await begin("a");
    const second = await begin("a");
    await begin("b");
    expect(await stores.claims.release({ owner: "a" })).toBe(2);
    expect(await getResult(first.execution.id)).toEqual({ state: "QUEUED" });
    expect(await executions.append({ ...first.claim, flushIndex: 0, runs: [] })).toBe(false);
    expect((await claimIds("c")).toSorted()).toEqual([first.execution.id, second.execution.id].toSorted());
  });

  test("of orphans queues again what an owner has and does not run", async () => {
    const [running, orphan, other] = [await begin("r"), await begin("r"), await begin("s")];
    const ids = [running, orphan].map(({ execution }) => execution.id);
    expect((await stores.claims.listOwned("r")).toSorted()).toEqual(ids.toSorted());
    expect(await stores.claims.releaseOrphans({ owner: "r", ids: [orphan.execution.id, other.execution.id] })).toBe(1);
    expect(await getResult(orphan.execution.id)).toEqual({ state: "QUEUED" });
    expect(await getResult(other.execution.id)).toEqual({ state: "RUNNING" });
    expect(await getResult(running.execution.id)).toEqual({ state: "RUNNING" });
  });
});

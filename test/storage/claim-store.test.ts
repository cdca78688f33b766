import { sql } from "kysely";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { LeaseStore } from "../../src/storage/claims/lease-store.ts";
import { Database } from "../../src/storage/postgres/database.ts";
import { createTenant, nodeRun, openStores, readJournal, type Stores, type Tenant, takeUp } from "./fixture.ts";

const hourMs = 3_600_000;

let stores: Stores;
let tenant: Tenant;

beforeAll(async () => {
  stores = await openStores();
});

beforeEach(async () => {
  await stores.db.deleteFrom("execution_claim").execute();
  await stores.db.deleteFrom("lease").execute();
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

/** Executions that an owner runs who has no lease: it is dead. */
async function beginAbandoned(count: number, owner = "dead"): Promise<readonly string[]> {
  const executions = Array.from({ length: count }, () => tenant.newExecution());
  for (const execution of executions) {
    await stores.executions.begin(execution, { owner });
  }
  return executions.map(({ id }) => id);
}

async function take(owner: string, limit = 10) {
  return await takeUp(stores, { owner, limit });
}

async function takeIds(owner: string): Promise<readonly string[]> {
  return (await take(owner)).map(({ id }) => id).toSorted();
}

async function losses(): Promise<ReadonlyMap<string, number>> {
  const rows = await stores.db.selectFrom("execution_claim").select(["execution_id", "losses"]).execute();
  return new Map(rows.map((row) => [row.execution_id, row.losses]));
}

async function ended() {
  return await stores.executions.expire({ runMs: hourMs, ageMs: hourMs, now: Date.now(), limit: 10 });
}

function claimOf(executionId: string, owner: string, epoch: number) {
  const { organizationId, environmentId } = tenant;
  return { organizationId, environmentId, executionId, owner, epoch };
}

describe("an execution whose owners are lost again and again", () => {
  test("is tried alone, the newest first, and one at a time over all owners", async () => {
    const ids = await beginAbandoned(3);
    expect(await takeIds("b")).toEqual(ids.toSorted());
    await stores.leases.renew({ owner: "d", ms: 60_000 });
    expect(await takeIds("d")).toEqual([ids.toSorted().at(-1)]);
    expect((await stores.queue.count(10)).quarantined).toBe(2);
    const queued = tenant.newExecution();
    await stores.executions.begin(queued);
    expect(await takeIds("e")).toEqual([queued.id]);
    await stores.leases.renew({ owner: "e", ms: 60_000 });
    await stores.claims.clearQuarantine("d");
    expect(await takeIds("e")).toEqual([ids.toSorted()[1]]);
  });

  test("is never tried by two, however many look at the same moment", async () => {
    await beginAbandoned(8);
    await take("b");
    const owners = ["d", "e", "f", "g"];
    for (const owner of owners) {
      await stores.leases.renew({ owner, ms: 60_000 });
    }
    const taken = await Promise.all(owners.map((owner) => takeIds(owner)));
    expect(taken.flat().length).toBe(1);
  });

  test("takes the blame for its owner alone, and is ended after the fourth", async () => {
    const [quarantined = "", ...innocent] = (await beginAbandoned(3)).toSorted().toReversed();
    // One was lost before.
    await sql`update execution_claim set losses = 1 where execution_id = ${quarantined}`.execute(stores.db);
    for (const owner of ["d", "e"]) {
      expect(await takeIds(owner)).toEqual([quarantined]);
      expect(await takeIds(owner)).toEqual(innocent.toSorted());
    }
    expect(await ended()).toEqual(new Map());
    // The others count only the loss before there was a quarantined execution.
    expect(await takeIds("f")).toEqual(innocent.toSorted());
    expect(await losses()).toEqual(new Map([[quarantined, 4], ...innocent.map((id): [string, number] => [id, 1])]));
    const outcomes = await ended();
    expect([...outcomes]).toMatchObject([
      [quarantined, { outcome: { state: "ERRORED", error: { reason: "EXECUTION_POISONED" } } }],
    ]);
    expect((await losses()).has(quarantined)).toBe(false);
  });

  test("counts on although its journal grows or it waits, and begins anew when it has run long, and when its owner stops in peace", async () => {
    const ids = await beginAbandoned(4);
    await take("c");
    const [grown = "", long = "", asleep = "", other = ""] = ids;
    const { executions } = stores;
    await executions.append({ ...claimOf(grown, "c", 2), flushIndex: 0, runs: [nodeRun("1")] });
    await sql`update execution_claim set run_since = now() - interval '11 minutes' where execution_id = ${long}`.execute(
      stores.db,
    );
    await stores.claims.suspend({ ...claimOf(asleep, "c", 2), ms: 60_000, wakeTime: 0 });
    await take("d", 1);
    expect(await losses()).toEqual(
      new Map([
        [grown, 2],
        [long, 1],
        [asleep, 1],
        [other, 2],
      ]),
    );
    await sql`update execution_claim set owner = 'e'`.execute(stores.db);
    await stores.claims.release({ owner: "e" });
    expect([...(await losses()).values()]).toEqual([0, 0, 0, 0]);
  });

  test("is ended although it passes another wait in each life", async () => {
    const [id = ""] = await beginAbandoned(1, "a");
    for (let epoch = 2; epoch <= 7; epoch += 1) {
      expect(await takeIds("b")).toEqual([id]);
      // An even life comes to a wait, and an odd one kills.
      if (epoch % 2 === 0) {
        await stores.claims.suspend({ ...claimOf(id, "b", epoch), ms: 0, wakeTime: 0 });
      } else {
        await stores.leases.drop("b");
        await stores.reaper.reap({ owner: "c", now: Date.now() });
      }
    }
    expect([...(await ended()).values()]).toMatchObject([{ outcome: { error: { reason: "EXECUTION_POISONED" } } }]);
  });

  test("begins anew with a wait that ends ten minutes after the last loss, or later", async () => {
    const minutes = 60_000;
    for (const [lostBefore, waits, expected] of [
      [0, 9, 3],
      [0, 11, 0],
      [5, 4, 3],
      [5, 6, 0],
      [11, 0, 0],
    ] as const) {
      const [id = ""] = await beginAbandoned(1, "a");
      await sql`update execution_claim set losses = 3, loss_time = now() - ${lostBefore} * interval '1 minute'
        where execution_id = ${id}`.execute(stores.db);
      await stores.claims.suspend({ ...claimOf(id, "a", 1), ms: waits * minutes, wakeTime: 0 });
      expect([lostBefore, waits, (await losses()).get(id)]).toEqual([lostBefore, waits, expected]);
    }
  });

  test("counts how often it has run in quarantine without harm, for which it runs longer there the next time", async () => {
    const [id = ""] = await beginAbandoned(1);
    const quarantineRuns: number[] = [];
    for (let count = 0; count < 3; count += 1) {
      await sql`update execution_claim set losses = 2, owner = null, due_time = now()`.execute(stores.db);
      quarantineRuns.push(...(await take("b")).map((claimed) => claimed.quarantineRuns));
      await stores.claims.clearQuarantine("b");
    }
    expect(quarantineRuns).toEqual([0, 1, 2]);
    expect(await losses()).toEqual(new Map([[id, 0]]));
  });

  test("is quarantined, and never ended, where its claims are lost again and again", async () => {
    const [id = ""] = await beginAbandoned(1, "a");
    for (const expected of [1, 2, 2, 2, 2]) {
      await stores.claims.releaseOrphans({ owner: "a", ids: [id] });
      expect(await losses()).toEqual(new Map([[id, expected]]));
      await sql`update execution_claim set owner = 'a'`.execute(stores.db);
    }
    expect(await ended()).toEqual(new Map());
  });

  test("counts no loss for what is deferred through no fault of its own", async () => {
    const [id = ""] = await beginAbandoned(1, "a");
    await sql`update execution_claim set losses = 3`.execute(stores.db);
    await stores.claims.defer({ ...claimOf(id, "a", 1), ms: 60_000 });
    expect(await losses()).toEqual(new Map([[id, 3]]));
    expect(await takeIds("b")).toEqual([]);
  });

  test("is backed off for longer each time that its owner cannot run it, and then ended", async () => {
    const execution = tenant.newExecution();
    await stores.executions.begin(execution);
    const delays: number[] = [];
    for (let epoch = 1; epoch <= 4; epoch += 1) {
      expect(await takeIds("b")).toEqual([execution.id]);
      await stores.claims.backOff(claimOf(execution.id, "b", epoch));
      const { rows } = await sql<{ ms: number }>`
        select extract(epoch from due_time - now())::float8 * 1000 as ms from execution_claim`.execute(stores.db);
      delays.push(rows[0]?.ms ?? 0);
      expect(await takeIds("b")).toEqual([]);
      await sql`update execution_claim set due_time = now()`.execute(stores.db);
    }
    expect(delays.filter((ms, index) => ms > 500 * 2 ** index * 1.5)).toEqual([]);
    expect(Math.max(...delays)).toBeGreaterThan(1_000);
    expect([...(await ended()).keys()]).toEqual([execution.id]);
  });
});

const nothing = { next: undefined, queued: [], removed: [], dangling: [], unboundKeys: 0 };

describe("a repair", () => {
  test("gives an unfinished execution a claim and removes the claim of one that is none, page by page", async () => {
    await sql`truncate execution cascade`.execute(stores.db);
    const { executions, db } = stores;
    const ids = (await beginAbandoned(5, "a")).toSorted();
    const [lost = "", ended = "", , , last = ""] = ids;
    await executions.append({ ...claimOf(lost, "a", 1), flushIndex: 0, runs: [nodeRun("1")] });
    await db.deleteFrom("execution_claim").where("execution_id", "=", lost).execute();
    await sql`update execution set state = 'STOPPED', end_time = now() where id = ${ended}`.execute(db);
    await sql`insert into execution_claim (execution_id, environment_id, epoch) values ('ff', 'x', 0)`.execute(db);
    const first = await executions.repair({ after: "", limit: 4 });
    expect(first).toEqual({ ...nothing, next: ids[3], queued: [lost], removed: [ended] });
    expect(await executions.repair({ after: ids[3] ?? "", limit: 4 })).toEqual({ ...nothing, removed: ["ff"] });
    expect(await executions.repair({ after: "", limit: 10 })).toEqual(nothing);
    const claimed = await take("b");
    const found = claimed.find(({ id }) => id === lost);
    expect(found && (await readJournal(stores, found)).runs).toEqual([nodeRun("1")]);
    expect(claimed.map(({ id }) => id)).toContain(last);
  });

  test("names executions without their version or account, and deletes keys without an execution", async () => {
    await sql`truncate execution, idempotency_key`.execute(stores.db);
    const { executions, db } = stores;
    const ids = (await beginAbandoned(3, "a")).toSorted();
    const [whole = "", versionless = "", accountless = ""] = ids;
    await sql`update execution set version = 7 where id = ${versionless}`.execute(db);
    await sql`update execution set linked_account_id = 'nobody@acme.io' where id = ${accountless}`.execute(db);
    for (const [key, id] of [
      ["bound", whole],
      ["unbound", whole.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"))],
    ] as const) {
      await sql`insert into idempotency_key (environment_id, linked_account_id, key, fingerprint, execution_id)
        values (${tenant.environmentId}, 'x', ${key}, 'f', ${id})`.execute(db);
    }
    const repaired = await executions.repair({ after: "", limit: 10 });
    expect(repaired).toMatchObject({ dangling: [versionless, accountless], unboundKeys: 1 });
    expect(await db.selectFrom("idempotency_key").select("key").execute()).toEqual([{ key: "bound" }]);
  });
});

describe("what has begun", () => {
  const lose = {
    "when its owner is dead": () => stores.reaper.reap({ owner: "b", now: Date.now() }),
    "when its owner stops": () => stores.claims.release({ owner: "a" }),
    "when its owner does not run it": async (ids: readonly string[]) => {
      await stores.claims.releaseOrphans({ owner: "a", ids });
    },
  };

  test.each(Object.entries(lose))("goes on before all that has not, %s", async (_, loseOwner) => {
    const queued = [tenant.newExecution(), tenant.newExecution()];
    for (const execution of queued) {
      await stores.executions.begin(execution, {});
    }
    // It found a free slot while they were queued.
    const ids = await beginAbandoned(2, "a");
    await loseOwner(ids);
    expect((await take("b", 2)).map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    expect(await takeIds("b")).toEqual(queued.map(({ id }) => id).toSorted());
  });
});

describe("after the database's clock was set", () => {
  const dues = async () => {
    const { rows } = await sql<{ ms: number }>`
      select extract(epoch from due_time - now())::float8 * 1000 as ms from execution_claim order by due_time`.execute(
      stores.db,
    );
    return rows.map(({ ms }) => Math.round(ms / 1000));
  };

  test("no owner is reaped, and nothing has run too long, by a clock that says something else than it did", async () => {
    await beginAbandoned(1, "a");
    await sql`update execution_claim set run_since = now() - interval '3 hours'`.execute(stores.db);
    for (const now of [Date.now() - hourMs, Date.now() + hourMs]) {
      await stores.reaper.reap({ owner: "b", now });
      expect([...(await stores.executions.expire({ runMs: hourMs, ageMs: hourMs, now, limit: 10 }))]).toEqual([]);
    }
    expect((await stores.claims.listOwned("a")).length).toBe(1);
  });

  test("who renewed a lease in what is the future now, and not again, is dead", async () => {
    const [id] = await beginAbandoned(1, "a");
    await stores.leases.renew({ owner: "a", ms: hourMs });
    expect(await takeIds("b")).toEqual([]);
    await sql`update lease set renew_time = now() + interval '1 hour'`.execute(stores.db);
    expect(await takeIds("b")).toEqual([id]);
  });

  test("sleepers are due as much earlier as it was set back, once, and others as they were", async () => {
    const ids = await beginAbandoned(3, "a");
    for (const [index, id] of ids.entries()) {
      await stores.claims.suspend({ ...claimOf(id, "a", 1), ms: (index + 1) * 10_000, wakeTime: 0 });
    }
    const ahead = sql`due_time = due_time + interval '1 hour', due_set_time = due_set_time + interval '1 hour'`;
    await sql`update execution_claim set ${ahead} where execution_id <> ${ids[0]}`.execute(stores.db);
    // Set back an hour, 5 seconds after they were let sleep.
    for (const count of [2, 0]) {
      expect(await stores.claims.correctForClockStep({ ms: -hourMs - 5_000, owner: "b" })).toBe(count);
    }
    expect(await dues()).toEqual([10, 15, 25]);
  });

  test("sleepers wait for no longer than their whole time, where nobody knows by how much it was set back", async () => {
    const [id = ""] = await beginAbandoned(1, "a");
    await stores.claims.suspend({ ...claimOf(id, "a", 1), ms: 10_000, wakeTime: 0 });
    await sql`update execution_claim set due_time = due_time + interval '1 day', due_set_time = now() + interval '1 day'`.execute(
      stores.db,
    );
    expect(await stores.claims.correctForClockStep({ ms: 0, owner: "b" })).toBe(1);
    expect(await dues()).toEqual([10]);
  });

  test("what runs has run for as long as it had", async () => {
    await beginAbandoned(1, "a");
    await stores.claims.correctForClockStep({ ms: -3 * hourMs, owner: "a" });
    await stores.claims.correctForClockStep({ ms: hourMs, owner: "a" });
    expect([...(await ended()).keys()].length).toBe(1);
  });
});

describe("an owner", () => {
  test("is dead when its session is gone, though its lease runs on, unless it has only just renewed it", async () => {
    const [id] = await beginAbandoned(1, "a");
    const database = new Database({ connection: () => stores.connection, log: pino({ level: "silent" }) });
    const leases = new LeaseStore(database.leaseDb);
    await leases.renew({ owner: "a", ms: 60_000 });
    await sql`update lease set renew_time = now() - interval '10 seconds'`.execute(stores.db);
    expect(await takeIds("b"), "its session lives").toEqual([]);
    await leases.renew({ owner: "a", ms: 60_000 });
    await database.stop();
    await sql`update lease set renew_time = now()`.execute(stores.db);
    expect(await takeIds("b"), "it has renewed").toEqual([]);
    await sql`update lease set renew_time = now() - interval '3 seconds'`.execute(stores.db);
    expect(await takeIds("b")).toEqual([id]);
    expect(await stores.db.selectFrom("lease").selectAll().execute()).toEqual([]);
  });

  test("that names no session, as an earlier version does not, lives as long as its lease", async () => {
    const [id] = await beginAbandoned(1, "a");
    await stores.db.deleteFrom("lease").execute();
    const times = sql`now() + interval '1 minute', now() - interval '10 seconds'`;
    await sql`insert into lease (owner, expire_time, renew_time) values ('a', ${times})`.execute(stores.db);
    expect(await takeIds("b")).toEqual([]);
    await sql`update lease set expire_time = now() where owner = 'a'`.execute(stores.db);
    expect(await takeIds("b")).toEqual([id]);
  });

  test("that is dead is reaped by one of many, and all that it held is queued again", async () => {
    await beginAbandoned(20, "a");
    await stores.leases.renew({ owner: "a", ms: -1 });
    const owners = ["b", "c", "d", "e"];
    for (const owner of owners) {
      await stores.leases.renew({ owner, ms: 60_000 });
    }
    await Promise.all(owners.map((owner) => take(owner, 1)));
    expect([...(await losses()).values()]).toEqual(Array.from({ length: 20 }, () => 1));
    expect(await stores.claims.listOwned("a")).toEqual([]);
  });
});

import { Kysely, PostgresDialect } from "kysely";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import type { NewExecution } from "../../src/domain/execution.ts";
import type { EventCursor } from "../../src/domain/http/event-cursor.ts";
import { newId } from "../../src/domain/id.ts";
import { createSchedulerEvents } from "../../src/scheduler/run/scheduler-events.ts";
import { type WatchedFact, Watchers } from "../../src/scheduler/waiting/watchers.ts";
import { ExecutionEvents, type JournalPlace } from "../../src/storage/history/execution-events.ts";
import { Pool } from "../../src/storage/postgres/pool.ts";
import type { Tables } from "../../src/storage/postgres/tables.ts";
import { createTenant, nodeRun, openStores, type Stores, type Tenant } from "../storage/fixture.ts";
import { eventually } from "../support/eventually.ts";

const log = pino({ level: "silent" });
const limits = { watchersMax: 1_000, organizationWatchersMax: 1_000, environmentWatchersMax: 1_000 };
const never = new AbortController().signal;

let stores: Stores;
let tenant: Tenant;
/** The statements that watching has taken. */
let statements = 0;
let db: Kysely<Tables>;
const events = createSchedulerEvents();
let watchers: Watchers;

beforeAll(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
  const pool = new Pool({ connection: () => stores.connection, log, max: 4 });
  const count = () => {
    statements += 1;
  };
  db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }), log: count });
  watchers = new Watchers({ journals: new ExecutionEvents(db), events, limits, clock: systemClock, log });
  await watchers.start();
});

beforeEach(() => {
  statements = 0;
});

afterAll(async () => {
  await watchers?.stop();
  await db?.destroy();
  await stores?.close();
});

/** An execution that another process runs: nothing of what it records is said here. */
async function begin() {
  const execution = tenant.newExecution();
  await stores.executions.begin(execution, { owner: "other", idempotencyKey: undefined });
  return execution;
}

function claimOf({ id: executionId, organizationId, environmentId }: NewExecution) {
  return { organizationId, environmentId, executionId, owner: "other", epoch: 1 };
}

async function append(execution: NewExecution, flushIndex: number, paths: readonly string[]): Promise<void> {
  await stores.executions.append({ ...claimOf(execution), flushIndex, runs: paths.map(nodeRun) });
}

async function finish(execution: NewExecution, index: number, paths: readonly string[]): Promise<void> {
  const flush = { index, runs: paths.map(nodeRun) };
  await stores.executions.finish({ ...claimOf(execution), outcome: { state: "COMPLETED" }, flush });
}

/** What a watcher was told, as texts: `accepted`, a path, `COMPLETED`. */
function told(fact: WatchedFact): string {
  return fact.kind === "run" ? fact.run.path : fact.kind === "end" ? fact.end.state : fact.kind;
}

async function watchAll(execution: NewExecution, behind?: EventCursor): Promise<readonly WatchedFact[]> {
  const facts: WatchedFact[] = [];
  for await (const fact of watchers.watch(execution, { ...execution, behind, signal: never })) {
    facts.push(fact);
  }
  return facts;
}

test("what an execution in another process records is told once, in order, and its end behind all of it", async () => {
  const execution = await begin();
  const watch = watchAll(execution);
  await append(execution, 0, ["1", "2[0]/3"]);
  await append(execution, 1, []);
  await append(execution, 2, ["2[0]"]);
  await finish(execution, 3, ["2", "4"]);
  expect((await watch).map(told)).toEqual(["accepted", "1", "2[0]/3", "2[0]", "2", "4", "COMPLETED"]);
  expect((await watchAll(execution)).map(told)).toEqual((await watch).map(told));
});

test("waits and attempts are not told, and count where a watcher goes on", async () => {
  const execution = await begin();
  await append(execution, 0, ["1", "2#1", "2#2#wait", "2"]);
  await finish(execution, 1, ["3#wait", "3"]);
  const all = await watchAll(execution);
  expect(all.map(told)).toEqual(["accepted", "1", "2", "3", "COMPLETED"]);
  expect(all.map(({ cursor }) => cursor)).toEqual([
    { at: "start" },
    { at: "entry", flush: 0, entry: 0 },
    { at: "entry", flush: 0, entry: 3 },
    { at: "entry", flush: 1, entry: 1 },
    { at: "end" },
  ]);
  for (const [index, { cursor }] of all.entries()) {
    expect(await watchAll(execution, cursor)).toEqual(all.slice(index + 1));
  }
});

test("no fact bears an output", async () => {
  const execution = await begin();
  await finish(execution, 0, ["1"]);
  const facts = await watchAll(execution);
  expect(facts[1]).toMatchObject({ run: { path: "1", state: "SUCCESS" } });
  expect(JSON.stringify(facts)).not.toContain("output");
});

test("watchers that come and go, fast and slow, are each told everything once", async () => {
  const execution = await begin();
  const flushes = 60;
  const paths = (flush: number) => [`${flush}a`, `${flush}b`];
  const expected = ["accepted", ...Array.from({ length: flushes }, (_, flush) => paths(flush)).flat(), "COMPLETED"];
  const write = async () => {
    for (let flush = 0; flush < flushes - 1; flush += 1) {
      await append(execution, flush, paths(flush));
    }
    await finish(execution, flushes - 1, paths(flushes - 1));
  };
  /** Is cut after each `cutAfter` facts, and is as slow as `turns` of the event loop a fact. */
  const follow = async (cutAfter: number, turns: number): Promise<readonly string[]> => {
    const seen: string[] = [];
    let behind: EventCursor | undefined;
    while (seen.at(-1) !== "COMPLETED") {
      let left = cutAfter;
      for await (const fact of watchers.watch(execution, { ...execution, behind, signal: never })) {
        seen.push(told(fact));
        behind = fact.cursor;
        for (let turn = 0; turn < turns; turn += 1) {
          await new Promise((resolve) => setImmediate(resolve));
        }
        left -= 1;
        if (left === 0) {
          break;
        }
      }
    }
    return seen;
  };
  const readers = [1, 2, 3, 7, 1_000].flatMap((cutAfter) => [0, 50].map((turns) => follow(cutAfter, turns)));
  const [, ...all] = await Promise.all([write(), ...readers]);
  for (const seen of all) {
    expect(seen).toEqual(expected);
  }
  expect((await watchAll(execution)).map(told)).toEqual(expected);
});

test("a watcher that leaves while nothing happens is let go", async () => {
  const execution = await begin();
  const gone = new AbortController();
  const watch = watchers.watch(execution, { ...execution, behind: undefined, signal: gone.signal });
  expect((await watch.next()).value).toMatchObject({ kind: "accepted" });
  const next = watch.next();
  gone.abort();
  expect(await next).toEqual({ done: true, value: undefined });
});

test("500 watchers on a handful of executions cost as many statements as one", async () => {
  const executions = await Promise.all(Array.from({ length: 5 }, begin));
  const watches = executions.flatMap((execution) => Array.from({ length: 100 }, () => watchAll(execution)));
  await eventually(() => expect(statements).toBeGreaterThan(3));
  const flushes = 10;
  const before = statements;
  const started = performance.now();
  for (let flush = 0; flush < flushes; flush += 1) {
    for (const execution of executions) {
      await append(execution, flush, [`${flush}`]);
    }
  }
  for (const execution of executions) {
    await finish(execution, flushes, ["last"]);
  }
  const expected = ["accepted", ...Array.from({ length: flushes }, (_, flush) => `${flush}`), "last", "COMPLETED"];
  for (const facts of await Promise.all(watches)) {
    expect(facts.map(told)).toEqual(expected);
  }
  const seconds = (performance.now() - started) / 1_000;
  // Each flush is read by one statement at the most, and each look that finds nothing is one more.
  expect(statements - before).toBeLessThan(2 * 5 * (flushes + 2) + 4 * seconds);
});

test("500 watchers of executions in which nothing happens cost a few statements a second", async () => {
  const gone = new AbortController();
  const executions = await Promise.all(Array.from({ length: 5 }, begin));
  const facts: string[] = [];
  const watches = executions.flatMap((execution) =>
    Array.from({ length: 100 }, async () => {
      for await (const fact of watchers.watch(execution, { ...execution, behind: undefined, signal: gone.signal })) {
        facts.push(told(fact));
      }
    }),
  );
  await eventually(() => expect(facts).toHaveLength(500));
  const joined = statements;
  await eventually(() => expect(statements).toBeGreaterThan(joined + 1));
  const [before, started] = [statements, performance.now()];
  await eventually(() => expect(statements).toBeGreaterThanOrEqual(before + 3));
  expect((statements - before) / ((performance.now() - started) / 1_000)).toBeLessThan(5);
  gone.abort();
  await Promise.all(watches);
  expect(facts).toHaveLength(500);
});

test("where nobody watches, nothing is read", async () => {
  const execution = await begin();
  await finish(execution, 0, ["1"]);
  await watchAll(execution);
  const before = statements;
  events.emit("recorded", execution.id);
  // The place behind the end is looked up, and that is all.
  expect(await watchAll(execution, { at: "end" })).toEqual([]);
  expect(statements).toBe(before + 1);
});

test("a place that an execution has not come to is refused", async () => {
  const execution = await begin();
  await append(execution, 0, ["1"]);
  for (const cursor of [
    { at: "end" },
    { at: "entry", flush: 0, entry: 1 },
    { at: "entry", flush: 1, entry: 0 },
  ] as const) {
    await expect(watchAll(execution, cursor)).rejects.toMatchObject({ reason: "VALIDATION_ERROR" });
  }
});

test("are bounded for an environment, an organisation and in all, and a refusal names which", async () => {
  const bounds = { watchersMax: 5, organizationWatchersMax: 2, environmentWatchersMax: 1 };
  const bounded = new Watchers({ journals: new ExecutionEvents(db), events, limits: bounds, clock: systemClock, log });
  const gone = new AbortController();
  const open: AsyncGenerator<WatchedFact>[] = [];
  /** The limit that refuses to let one more watch. */
  const watch = async (organizationId: string, environmentId: string) => {
    const execution = { id: newId(), environmentId };
    const facts = bounded.watch(execution, { organizationId, behind: undefined, signal: gone.signal });
    try {
      await facts.next();
      open.push(facts);
      return undefined;
    } catch (error) {
      const { metadata } = Object(error).details;
      const reason = metadata.limit === "watchers" ? "SERVER_BUSY" : "WATCHERS_FULL";
      expect(error).toMatchObject({ reason, details: { retryAfterSeconds: 1 } });
      return metadata;
    }
  };
  expect(await watch("a", "a1")).toBeUndefined();
  expect(await watch("a", "a1")).toEqual({ limit: "environment_watchers", value: "1" });
  expect(await watch("a", "a2")).toBeUndefined();
  expect(await watch("a", "a3")).toEqual({ limit: "organization_watchers", value: "2" });
  for (const environmentId of ["b1", "b2"]) {
    expect(await watch("b", environmentId)).toBeUndefined();
  }
  // Two that have all they may have leave some for a third.
  expect(await watch("c", "c1")).toBeUndefined();
  expect(await watch("d", "d1")).toEqual({ limit: "watchers", value: "5" });
  await open[0]?.return(undefined);
  expect(await watch("a", "a1")).toBeUndefined();
  gone.abort();
  for (const facts of open) {
    await facts.return(undefined);
  }
  expect(await watch("d", "d1")).toBeUndefined();
});

test("of several organisations are read by turns, however many of one have news", async () => {
  const asked: string[][] = [];
  const answered = Promise.withResolvers<void>();
  /** Answers nothing, so that the first statement that asks for all of them says their order. */
  const journals = {
    read: async (places: readonly JournalPlace[]) => {
      asked.push(places.map(({ environmentId }) => environmentId));
      if (places.length === 21) {
        answered.resolve();
      }
      return [];
    },
    readOne: async () => undefined,
  };
  const slow = new Watchers({ journals, events, limits, clock: systemClock, log });
  const gone = new AbortController();
  const watches = Array.from({ length: 21 }, async (_, index) => {
    const organizationId = index === 20 ? "few" : "many";
    const watch = { organizationId, behind: undefined, signal: gone.signal };
    for await (const fact of slow.watch({ id: newId(), environmentId: organizationId }, watch)) {
      told(fact);
    }
  });
  await slow.start();
  await answered.promise;
  expect(asked.at(-1)?.indexOf("few")).toBeLessThan(2);
  gone.abort();
  await Promise.all(watches);
  await slow.stop();
});

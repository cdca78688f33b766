import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import type { Outcome } from "../../src/domain/execution.ts";
import { createSchedulerEvents } from "../../src/scheduler/run/scheduler-events.ts";
import { Waiters } from "../../src/scheduler/waiting/waiters.ts";
import type { Ends, UnreadEnd } from "../../src/storage/executions/execution-results.ts";
import { createTenant, json, openStores, type Stores, type Tenant } from "../storage/fixture.ts";

const mebibyte = 1024 ** 2;
const pageMax = 2 * mebibyte;
const large = json(`"${"a".repeat(mebibyte - 2)}"`);
const small = json('"small"');

let stores: Stores;
let many: Tenant;
let few: Tenant;

beforeAll(async () => {
  stores = await openStores();
  many = await createTenant(stores);
  few = await createTenant(stores);
});

afterAll(() => stores.close());

async function ended(tenant: Tenant, response = large): Promise<string> {
  const execution = tenant.newExecution();
  await stores.executions.recordFinished(execution, { state: "COMPLETED", response }, []);
  return execution.id;
}

function bytesOf(outcomes: ReadonlyMap<string, Outcome>): number {
  return [...outcomes.values()].reduce((bytes, { response = "" }) => bytes + response.length, 0);
}

test("who waits for large results is told each, and no statement reads more than a bounded part of them", async () => {
  const ids: string[] = [];
  for (let count = 0; count < 9; count += 1) {
    ids.push(await ended(many));
  }
  const read: number[] = [];
  const noted = (outcomes: ReadonlyMap<string, Outcome>) => {
    read.push(bytesOf(outcomes));
    return outcomes;
  };
  const executions = Object.create(stores.executions, {
    listEnded: {
      value: async (asked: readonly string[]): Promise<Ends> => {
        const ends = await stores.executions.listEnded(asked);
        noted(ends.outcomes);
        return ends;
      },
    },
    readEnded: {
      value: async (next: () => UnreadEnd | undefined) => noted(await stores.executions.readEnded(next)),
    },
  });
  const runs = { has: () => false, ids: [], supersede: () => undefined };
  const waiters = new Waiters({
    executions,
    runs,
    events: createSchedulerEvents(),
    clock: systemClock,
    log: pino({ level: "silent" }),
  });
  const told = ids.map((id) => waiters.wait(id, 60_000, new AbortController().signal));
  await waiters.start();
  for (const outcome of await Promise.all(told)) {
    expect(outcome).toEqual({ state: "COMPLETED", response: large });
  }
  await waiters.stop();
  expect(Math.max(...read)).toBeLessThanOrEqual(pageMax);
  expect(read.reduce((sum, bytes) => sum + bytes, 0)).toBe(9 * mebibyte);
});

test("of large results each environment has one in turn, and what is small comes before what is large", async () => {
  const large = await Promise.all([ended(many), ended(many), ended(many)]);
  const [own, other] = [await ended(many, small), await ended(few)];
  const { outcomes, unread } = await stores.executions.listEnded([...large, own, other]);
  expect([...outcomes.keys()].toSorted()).toEqual([own, other].toSorted());
  expect(unread.map(({ id }) => id).toSorted()).toEqual(large.toSorted());
});

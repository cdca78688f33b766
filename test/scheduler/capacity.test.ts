import { describe, expect, test } from "vitest";
import { Capacity, type CapacityLimits } from "../../src/scheduler/limits/capacity.ts";

const limits: CapacityLimits = {
  slots: 16,
  queueMax: 7,
  organizationQueueMax: 5,
  environmentQueueMax: 4,
  accountQueueMax: 2,
  organizationRunningMax: 1_000,
  environmentRunningMax: 1_000,
  accountRunningMax: 1_000,
};

function account(linkedAccountId: string, environmentId = "e", organizationId = "o") {
  return { organizationId, environmentId, linkedAccountId };
}

const [ann, bob, cleo] = [account("ann b"), account("bob"), account("cleo", "f")] as const;

function counts(shares: ReturnType<Capacity["share"]>) {
  return Object.fromEntries(shares.map(({ linkedAccountId, count }) => [linkedAccountId, count]));
}

/** Runs as many as it may, and answers how many those are. */
function fill(capacity: Capacity, of: typeof ann): number {
  let count = 0;
  for (; capacity.hasSlot(of); count += 1) {
    capacity.takeSlot(of);
  }
  return count;
}

function capacityOfOne(given: Partial<CapacityLimits> = {}): Capacity {
  const capacity = new Capacity({ ...limits, ...given });
  capacity.setOrganizations(1);
  return capacity;
}

describe("slots", () => {
  test("are shared out one at a time, to organisations, then to their environments, then to accounts", () => {
    const capacity = new Capacity({ ...limits, slots: 256 });
    expect(counts(capacity.share([ann, bob, cleo], 8))).toEqual({ "ann b": 2, bob: 2, cleo: 4 });
    const dora = account("dora", "g", "other");
    expect(counts(capacity.share([ann, bob, cleo, dora], 12))).toEqual({ "ann b": 2, bob: 1, cleo: 3, dora: 6 });
    expect(counts(capacity.share([ann], 7))).toEqual({ "ann b": 7 });
    expect(capacity.share([], 7)).toEqual([]);
  });

  test("go to organisations alike, though one has three hundred accounts that wait", () => {
    const capacity = new Capacity({ ...limits, slots: 256 });
    const many = Array.from({ length: 300 }, (_, index) => account(`a${index}`));
    const other = account("dora", "g", "other");
    const given = capacity.share([...many, other], 64);
    expect(given.filter(({ organizationId }) => organizationId === "o")).toHaveLength(32);
    expect(given.find(({ organizationId }) => organizationId === "other")?.count).toBe(32);
  });

  test("are half for one organisation, however many accounts it has, and half of the rest for each that comes next", () => {
    const capacity = new Capacity({ ...limits, slots: 256 });
    const fillAll = (organizationId: string) => {
      const accounts = Array.from({ length: 300 }, (_, index) =>
        account(`a${index}`, `${organizationId}${index % 2}`, organizationId),
      );
      const before = capacity.running;
      // One each, until none may run another one.
      for (let some = accounts; some.length > 0; some = some.filter((of) => capacity.hasSlot(of))) {
        for (const of of some) {
          if (capacity.hasSlot(of)) {
            capacity.takeSlot(of);
          }
        }
      }
      return capacity.running - before;
    };
    for (const organizationId of ["o", "p", "q", "r", "s"]) {
      const left = 256 - capacity.running;
      const part = fillAll(organizationId);
      expect(part).toBeLessThanOrEqual(left / 2);
      expect(part).toBeGreaterThan(left / 3);
      expect(capacity.full.environmentIds).toContain(`${organizationId}0`);
    }
    expect(capacity.hasSlot(account("last", "e of t", "t"))).toBe(true);
  });

  test("are a third each for two organisations that run as many as they may", () => {
    const capacity = new Capacity({ ...limits, slots: 240 });
    const accounts = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((index) => [
      account(`a${index}`),
      account(`b${index}`, "g", "p"),
    ]);
    const given = capacity.share(accounts, 240);
    const sums = ["o", "p"].map((id) =>
      given.reduce((sum, { organizationId, count }) => (organizationId === id ? sum + count : sum), 0),
    );
    for (const sum of sums) {
      expect(sum).toBeGreaterThan(65);
    }
    expect(sums[0] ?? 0).toBeLessThanOrEqual(80);
    expect(capacity.share(accounts, 240)).toEqual(given);
  });

  test("are all but a few for the accounts of an organisation that is alone, and a few are left for who has few", () => {
    const capacity = capacityOfOne({ slots: 256 });
    expect(fill(capacity, ann)).toBe(196);
    expect(fill(capacity, bob)).toBe(25);
    expect(capacity.hasSlot(account("dora"))).toBe(true);
    expect(capacity.full).toEqual({ accounts: [ann, bob], environmentIds: [], organizationIds: [] });
    expect(fill(capacity, cleo)).toBeGreaterThan(20);
    capacity.freeSlot(cleo);
    expect(capacity.hasSlot(cleo)).toBe(true);
    capacity.setOrganizations(2);
    expect([ann, cleo].map((of) => capacity.hasSlot(of))).toEqual([false, false]);
    expect(capacity.hasSlot(account("eve", "g", "other"))).toBe(true);
  });

  test("are all for whoever asks where they are few", () => {
    const capacity = capacityOfOne({ slots: 1 });
    expect(fill(capacity, ann)).toBe(1);
    expect([capacity.hasSlot(bob), capacity.running]).toEqual([false, 1]);
    expect(fill(new Capacity({ ...limits, slots: 1 }), ann)).toBe(1);
    const two = new Capacity({ ...limits, slots: 2 });
    expect([fill(two, ann), fill(two, bob), fill(two, account("dora", "g", "other"))]).toEqual([1, 0, 1]);
  });

  test("are no more than the limits of an account, an environment and an organisation, what runs elsewhere included", () => {
    const capacity = capacityOfOne({
      slots: 100,
      accountRunningMax: 3,
      environmentRunningMax: 5,
      organizationRunningMax: 8,
    });
    capacity.setElsewhere([
      ["e", "ann b", 2, "o"],
      ["f", "cleo", 1, "o"],
      ["f", "cleo", 1, "o"],
    ]);
    expect(counts(capacity.share([ann, bob, cleo], 16))).toEqual({ "ann b": 1, bob: 2, cleo: 1 });
    expect(fill(capacity, ann)).toBe(1);
    expect(fill(capacity, bob)).toBe(2);
    expect(capacity.full).toEqual({ accounts: [ann, bob], environmentIds: ["e"], organizationIds: [] });
    expect(fill(capacity, cleo)).toBe(1);
    expect(capacity.full.organizationIds).toEqual(["o"]);
    expect(capacity.hasSlot(account("dora", "f"))).toBe(false);
    capacity.setElsewhere([]);
    expect(capacity.hasSlot(account("dora"))).toBe(true);
    // One of an earlier version tells no organisation.
    capacity.setElsewhere([["e", "ann b", 9]]);
    expect([capacity.hasSlot(ann), capacity.hasSlot(account("dora")), capacity.hasSlot(cleo)]).toEqual([
      false,
      false,
      true,
    ]);
  });
});

describe("the queue", () => {
  const queue = (capacity: Capacity, of: typeof ann) => capacity.enqueue(of, async () => undefined);
  const limitOf = (capacity: Capacity, of: typeof ann) => capacity.queueError(of)?.details.metadata;

  test("is bounded for an account, an environment, an organisation and in all, and a refusal names which", async () => {
    const capacity = new Capacity(limits);
    expect(capacity.beginRecount()([["e", "ann b", 1, "o"]])).toBe(true);
    expect(limitOf(capacity, ann)).toBeUndefined();
    await queue(capacity, ann);
    expect(limitOf(capacity, ann)).toEqual({ limit: "account_queue", value: "2" });
    await queue(capacity, bob);
    expect(limitOf(capacity, bob)).toBeUndefined();
    await queue(capacity, account("dora"));
    expect(limitOf(capacity, bob)).toEqual({ limit: "environment_queue", value: "4" });
    expect(limitOf(capacity, cleo)).toBeUndefined();
    await queue(capacity, cleo);
    expect(limitOf(capacity, account("eve", "f"))).toEqual({ limit: "organization_queue", value: "5" });
    const other = account("eve", "g", "other");
    expect(limitOf(capacity, other)).toBeUndefined();
    await queue(capacity, other);
    await queue(capacity, account("dora", "h", "third"));
    expect(limitOf(capacity, account("fred", "g", "other"))).toEqual({ limit: "queue", value: "7" });
    capacity.dequeue(ann);
    expect(limitOf(capacity, bob)).toBeUndefined();
  });

  test("holds nothing more for a call whose key stands for an execution already", async () => {
    const capacity = new Capacity(limits);
    expect(await capacity.enqueue(ann, async () => "another")).toBe("another");
    expect(capacity.queued).toBe(0);
  });

  test("is not counted anew while it grows, but for a few times in a row", async () => {
    const capacity = new Capacity(limits);
    const before = capacity.beginRecount();
    const written = Promise.withResolvers<undefined>();
    const writing = capacity.enqueue(ann, () => written.promise);
    const during = capacity.beginRecount();
    expect([before([]), during([]), capacity.queued]).toEqual([false, false, 1]);
    expect([capacity.beginRecount()([]), capacity.beginRecount()([])]).toEqual([false, false]);
    expect([capacity.beginRecount()([]), capacity.queued]).toEqual([true, 0]);
    written.resolve(undefined);
    await writing;
    expect([capacity.beginRecount()([["e", "bob", 3, "o"]]), capacity.queued]).toEqual([true, 3]);
  });
});

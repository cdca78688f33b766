import { describe, expect, test } from "vitest";
import { Load, type LoadLimits } from "../../src/scheduler/limits/capacity.ts";

const limits: LoadLimits = {
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

function counts(shares: ReturnType<Load["share"]>) {
  return Object.fromEntries(shares.map(({ linkedAccountId, count }) => [linkedAccountId, count]));
}

/** Runs as many as it may, and answers how many those are. */
function fill(load: Load, of: typeof ann): number {
  let count = 0;
  for (; load.hasSlot(of); count += 1) load.began(of);
  return count;
}

function loadOfOne(given: Partial<LoadLimits> = {}): Load {
  const load = new Load({ ...limits, ...given });
  load.hearOrganizations(1);
  return load;
}

describe("slots", () => {
  test("are shared out one at a time, to organisations, then to their environments, then to accounts", () => {
    const load = new Load({ ...limits, slots: 256 });
    expect(counts(load.share([ann, bob, cleo], 8))).toEqual({ "ann b": 2, bob: 2, cleo: 4 });
    const dora = account("dora", "g", "other");
    expect(counts(load.share([ann, bob, cleo, dora], 12))).toEqual({ "ann b": 2, bob: 1, cleo: 3, dora: 6 });
    expect(counts(load.share([ann], 7))).toEqual({ "ann b": 7 });
    expect(load.share([], 7)).toEqual([]);
  });

  test("go to organisations alike, though one has three hundred accounts that wait", () => {
    const load = new Load({ ...limits, slots: 256 });
    const many = Array.from({ length: 300 }, (_, index) => account(`a${index}`));
    const other = account("dora", "g", "other");
    const given = load.share([...many, other], 64);
    expect(given.filter(({ organizationId }) => organizationId === "o")).toHaveLength(32);
    expect(given.find(({ organizationId }) => organizationId === "other")?.count).toBe(32);
  });

  test("are half for one organisation, however many accounts it has, and half of the rest for each that comes next", () => {
    const load = new Load({ ...limits, slots: 256 });
    const fillAll = (organizationId: string) => {
      const accounts = Array.from({ length: 300 }, (_, index) =>
        account(`a${index}`, `${organizationId}${index % 2}`, organizationId),
      );
      const before = load.running;
      // One each, until none may run another one.
      for (let some = accounts; some.length > 0; some = some.filter((of) => load.hasSlot(of)))
        for (const of of some) if (load.hasSlot(of)) load.began(of);
      return load.running - before;
    };
    for (const organizationId of ["o", "p", "q", "r", "s"]) {
      const left = 256 - load.running;
      const part = fillAll(organizationId);
      expect(part).toBeLessThanOrEqual(left / 2);
      expect(part).toBeGreaterThan(left / 3);
      expect(load.full.environmentIds).toContain(`${organizationId}0`);
    }
    expect(load.hasSlot(account("last", "e of t", "t"))).toBe(true);
  });

  test("are a third each for two organisations that run as many as they may", () => {
    const load = new Load({ ...limits, slots: 240 });
    const accounts = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((index) => [
      account(`a${index}`),
      account(`b${index}`, "g", "p"),
    ]);
    const given = load.share(accounts, 240);
    const sums = ["o", "p"].map((id) =>
      given.reduce((sum, { organizationId, count }) => (organizationId === id ? sum + count : sum), 0),
    );
    for (const sum of sums) expect(sum).toBeGreaterThan(65);
    expect(sums[0] ?? 0).toBeLessThanOrEqual(80);
    expect(load.share(accounts, 240)).toEqual(given);
  });

  test("are all but a few for the accounts of an organisation that is alone, and a few are left for who has few", () => {
    const load = loadOfOne({ slots: 256 });
    expect(fill(load, ann)).toBe(196);
    expect(fill(load, bob)).toBe(25);
    expect(load.hasSlot(account("dora"))).toBe(true);
    expect(load.full).toEqual({ accounts: [ann, bob], environmentIds: [], organizationIds: [] });
    expect(fill(load, cleo)).toBeGreaterThan(20);
    load.left(cleo);
    expect(load.hasSlot(cleo)).toBe(true);
    load.hearOrganizations(2);
    expect([ann, cleo].map((of) => load.hasSlot(of))).toEqual([false, false]);
    expect(load.hasSlot(account("eve", "g", "other"))).toBe(true);
  });

  test("are all for whoever asks where they are few", () => {
    const load = loadOfOne({ slots: 1 });
    expect(fill(load, ann)).toBe(1);
    expect([load.hasSlot(bob), load.running]).toEqual([false, 1]);
    expect(fill(new Load({ ...limits, slots: 1 }), ann)).toBe(1);
    const two = new Load({ ...limits, slots: 2 });
    expect([fill(two, ann), fill(two, bob), fill(two, account("dora", "g", "other"))]).toEqual([1, 0, 1]);
  });

  test("are no more than the limits of an account, an environment and an organisation, what runs elsewhere included", () => {
    const load = loadOfOne({ slots: 100, accountRunningMax: 3, environmentRunningMax: 5, organizationRunningMax: 8 });
    load.hearElsewhere([
      ["e", "ann b", 2, "o"],
      ["f", "cleo", 1, "o"],
      ["f", "cleo", 1, "o"],
    ]);
    expect(counts(load.share([ann, bob, cleo], 16))).toEqual({ "ann b": 1, bob: 2, cleo: 1 });
    expect(fill(load, ann)).toBe(1);
    expect(fill(load, bob)).toBe(2);
    expect(load.full).toEqual({ accounts: [ann, bob], environmentIds: ["e"], organizationIds: [] });
    expect(fill(load, cleo)).toBe(1);
    expect(load.full.organizationIds).toEqual(["o"]);
    expect(load.hasSlot(account("dora", "f"))).toBe(false);
    load.hearElsewhere([]);
    expect(load.hasSlot(account("dora"))).toBe(true);
    // One of an earlier version tells no organisation.
    load.hearElsewhere([["e", "ann b", 9]]);
    expect([load.hasSlot(ann), load.hasSlot(account("dora")), load.hasSlot(cleo)]).toEqual([false, false, true]);
  });
});

describe("the queue", () => {
  const queue = (load: Load, of: typeof ann) => load.queue(of, async () => undefined);
  const limitOf = (load: Load, of: typeof ann) => load.refusal(of)?.details.metadata;

  test("is bounded for an account, an environment, an organisation and in all, and a refusal names which", async () => {
    const load = new Load(limits);
    expect(load.beginCount()([["e", "ann b", 1, "o"]])).toBe(true);
    expect(limitOf(load, ann)).toBeUndefined();
    await queue(load, ann);
    expect(limitOf(load, ann)).toEqual({ limit: "account_queue", value: "2" });
    await queue(load, bob);
    expect(limitOf(load, bob)).toBeUndefined();
    await queue(load, account("dora"));
    expect(limitOf(load, bob)).toEqual({ limit: "environment_queue", value: "4" });
    expect(limitOf(load, cleo)).toBeUndefined();
    await queue(load, cleo);
    expect(limitOf(load, account("eve", "f"))).toEqual({ limit: "organization_queue", value: "5" });
    const other = account("eve", "g", "other");
    expect(limitOf(load, other)).toBeUndefined();
    await queue(load, other);
    await queue(load, account("dora", "h", "third"));
    expect(limitOf(load, account("fred", "g", "other"))).toEqual({ limit: "queue", value: "7" });
    load.unqueue(ann);
    expect(limitOf(load, bob)).toBeUndefined();
  });

  test("holds nothing more for a call whose key stands for an execution already", async () => {
    const load = new Load(limits);
    expect(await load.queue(ann, async () => "another")).toBe("another");
    expect(load.queued).toBe(0);
  });

  test("is not counted anew while it grows, but for a few times in a row", async () => {
    const load = new Load(limits);
    const before = load.beginCount();
    const written = Promise.withResolvers<undefined>();
    const writing = load.queue(ann, () => written.promise);
    const during = load.beginCount();
    expect([before([]), during([]), load.queued]).toEqual([false, false, 1]);
    expect([load.beginCount()([]), load.beginCount()([])]).toEqual([false, false]);
    expect([load.beginCount()([]), load.queued]).toEqual([true, 0]);
    written.resolve(undefined);
    await writing;
    expect([load.beginCount()([["e", "bob", 3, "o"]]), load.queued]).toEqual([true, 3]);
  });
});

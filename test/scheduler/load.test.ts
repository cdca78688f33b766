import { describe, expect, test } from "vitest";
import { Load, type LoadLimits } from "../../src/scheduler/load.ts";

const limits: LoadLimits = {
  slots: 16,
  queueMax: 6,
  environmentQueueMax: 4,
  accountQueueMax: 2,
  environmentRunningMax: 100,
  accountRunningMax: 100,
};

function account(linkedAccountId: string, environmentId = "e", organizationId = "o") {
  return { organizationId, environmentId, linkedAccountId };
}

const [ann, bob, cleo] = [account("ann b"), account("bob"), account("cleo", "f")] as const;

function counts(shares: ReturnType<Load["share"]>) {
  return Object.fromEntries(shares.map(({ linkedAccountId, count }) => [linkedAccountId, count]));
}

describe("slots", () => {
  test("are shared out one at a time, and no account has more than its part while others wait", () => {
    const load = new Load(limits);
    expect(counts(load.share([ann, bob, cleo], 7))).toEqual({ "ann b": 3, bob: 2, cleo: 2 });
    expect(counts(load.share([ann], 7))).toEqual({ "ann b": 7 });
    expect(load.share([], 7)).toEqual([]);
  });

  test("are all but an eighth for one account, and the eighth for who has few", () => {
    const load = new Load(limits);
    expect(counts(load.share([ann], 16))).toEqual({ "ann b": 14 });
    for (let count = 0; count < 14; count += 1) {
      expect(load.hasSlot(ann)).toBe(true);
      load.began(ann);
    }
    expect([load.hasSlot(ann), load.hasSlot(bob)]).toEqual([false, true]);
    expect(load.full).toEqual({ accounts: [ann], environmentIds: [] });
    expect(counts(load.share([ann, bob, cleo], 2))).toEqual({ bob: 1, cleo: 1 });
    load.began(bob);
    load.left(ann);
    expect([load.hasSlot(ann), load.hasSlot(bob)]).toEqual([false, true]);
    load.began(bob);
    expect(load.hasSlot(bob)).toBe(false);
    expect(load.hasSlot(cleo)).toBe(true);
  });

  test("are all for whoever asks where they are few", () => {
    const load = new Load({ ...limits, slots: 1 });
    expect(load.hasSlot(ann)).toBe(true);
    load.began(ann);
    expect([load.hasSlot(ann), load.hasSlot(bob), load.running]).toEqual([false, false, 1]);
  });

  test("are no more than the limits of an account and of an environment, what runs elsewhere included", () => {
    const load = new Load({ ...limits, accountRunningMax: 3, environmentRunningMax: 5 });
    load.hearElsewhere([
      ["e", "ann b", 2],
      ["f", "cleo", 1],
      ["f", "cleo", 1],
    ]);
    expect(counts(load.share([ann, bob, cleo], 16))).toEqual({ "ann b": 1, bob: 2, cleo: 1 });
    load.began(ann);
    expect([load.hasSlot(ann), load.hasSlot(bob)]).toEqual([false, true]);
    load.began(bob);
    load.began(bob);
    expect(load.full).toEqual({ accounts: [ann, bob], environmentIds: ["e"] });
    load.hearElsewhere([]);
    expect(load.hasSlot(ann)).toBe(true);
  });
});

describe("the queue", () => {
  const queue = (load: Load, of: typeof ann) => load.queue(of, async () => undefined);
  const limitOf = (load: Load, of: typeof ann) => load.refusal(of)?.details.metadata;

  test("is bounded for an account, for an environment and in all, and a refusal names which", async () => {
    const load = new Load(limits);
    expect(load.beginCount()([["e", "ann b", 1]])).toBe(true);
    expect(limitOf(load, ann)).toBeUndefined();
    await queue(load, ann);
    expect(limitOf(load, ann)).toEqual({ limit: "account_queue", value: "2" });
    await queue(load, bob);
    expect(limitOf(load, bob)).toBeUndefined();
    await queue(load, account("dora"));
    expect(limitOf(load, bob)).toEqual({ limit: "environment_queue", value: "4" });
    expect(limitOf(load, cleo)).toBeUndefined();
    await queue(load, cleo);
    await queue(load, cleo);
    expect(limitOf(load, account("eve", "g"))).toEqual({ limit: "queue", value: "6" });
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
    expect([load.beginCount()([["e", "bob", 3]]), load.queued]).toEqual([true, 3]);
  });
});

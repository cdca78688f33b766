import { setImmediate as nextLoopTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { EventLoopYielder } from "../../src/domain/event-loop-yielder.ts";

/** Waits for a turn, and tells when it came. */
async function take(yielder: EventLoopYielder, organization: string, told: string[]): Promise<void> {
  await yielder.nextSlice([organization, "environment"]);
  told.push(organization);
}

test("who has much to do waits behind itself, and other work of the process comes between any two slices", async () => {
  const yielder = new EventLoopYielder({ sliceMs: 0 });
  const told: string[] = [];
  const waiting = ["a", "a", "a", "b"].map((organization) => take(yielder, organization, told));
  let others = 0;
  const other = () => {
    others += 1;
    if (told.length < 4) {
      setImmediate(other);
    }
  };
  setImmediate(other);
  await Promise.all(waiting);
  expect(told).toEqual(["a", "b", "a", "a"]);
  expect(others).toBeGreaterThan(0);
});

test("what takes little time shares a slice, in the order of the yielder, and each goes on before the next begins", async () => {
  const yielder = new EventLoopYielder({ sliceMs: 1_000 });
  const told: string[] = [];
  const waiting = ["a", "a", "b"].map(async (organization) => {
    await take(yielder, organization, told);
    await Promise.resolve();
    told.push(`${organization} goes on`);
  });
  let isOneTurn = true;
  setImmediate(() => setImmediate(() => (isOneTurn = false)));
  await Promise.all(waiting);
  expect(isOneTurn).toBe(true);
  expect(told).toEqual(["a", "a goes on", "b", "b goes on", "a", "a goes on"]);
});

test("a slice is over when it has lasted, and begins anew with each turn", async () => {
  const yielder = new EventLoopYielder({ sliceMs: 20 });
  await yielder.nextSlice(["a", "e"]);
  expect(yielder.isSliceOver).toBe(false);
  for (const begin = performance.now(); performance.now() - begin < 25; ) {}
  expect(yielder.isSliceOver).toBe(true);
  await yielder.nextSlice(["a", "e"]);
  expect(yielder.isSliceOver).toBe(false);
});

test("work that comes alone does not wait: the slice begins with it, however long ago the last one was", async () => {
  const yielder = new EventLoopYielder({ sliceMs: 5 });
  expect(yielder.isSliceOver).toBe(false);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(yielder.isSliceOver).toBe(false);
});

describe("who has held the thread for long by one step", () => {
  const hold = (ms: number) => {
    for (const begin = performance.now(); performance.now() - begin < ms; ) {}
  };

  test("rests for twice as long while others ask, who begin at once", async () => {
    const yielder = new EventLoopYielder({ sliceMs: 5 });
    expect(yielder.yieldIfOver(["other", "e"])).toBeUndefined();
    await nextLoopTurn();
    expect(yielder.yieldIfOver(["long", "e"])).toBeUndefined();
    hold(40);
    const heldTime = performance.now();
    await nextLoopTurn();
    const rest = yielder.yieldIfOver(["long", "e"]);
    expect(rest).toBeDefined();
    expect(yielder.yieldIfOver(["other", "e"])).toBeUndefined();
    await rest;
    expect(performance.now() - heldTime).toBeGreaterThan(79);
  });

  test("goes on where it is alone", async () => {
    const yielder = new EventLoopYielder({ sliceMs: 5 });
    for (let step = 0; step < 3; step += 1) {
      expect(yielder.yieldIfOver(["long", "e"])).toBeUndefined();
      hold(20);
      await nextLoopTurn();
    }
  });
});

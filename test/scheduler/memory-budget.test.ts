import { describe, expect, test } from "vitest";
import { MemoryBudget } from "../../src/scheduler/limits/memory-budget.ts";

const mebibyte = 1024 * 1024;
/** What a run holds so that so many mebibytes of it are counted. */
const counted = (mebibytes: number) => (mebibytes + 1) * mebibyte;

/** Room for 16 MiB, of which one organisation has 8, as one execution may. */
function memoryOf16() {
  return new MemoryBudget({ recordsBytesMax: 8 * mebibyte, recordsMemoryBytesMax: 16 * mebibyte });
}

function hold(memory: MemoryBudget, organizationId: string, id: string | undefined, mebibytes: number) {
  const run = memory.open(organizationId, id);
  run.hold(counted(mebibytes));
  return run;
}

describe("where executions hold more than there is room for", () => {
  test("the oldest of them goes on, whatever it holds, and the next one once that has ended", () => {
    const memory = memoryOf16();
    const young = hold(memory, "acme", "2", 6);
    const old = hold(memory, "acme", "1", 6);
    const youngest = hold(memory, "acme", "3", 1);
    expect([old.mustYield, young.mustYield, youngest.mustYield]).toEqual([false, true, true]);
    old.hold(0);
    expect([young.mustYield, youngest.mustYield]).toEqual([false, false]);
    youngest.hold(counted(4));
    expect([young.mustYield, youngest.mustYield]).toEqual([false, true]);
  });

  test("the oldest of an organisation goes on with its share, and where all is full the oldest of all alone", () => {
    const memory = memoryOf16();
    const [acme, other] = [hold(memory, "acme", "1", 7), hold(memory, "other", "2", 8)];
    const behind = hold(memory, "other", "4", 1);
    expect([acme.mustYield, other.mustYield, behind.mustYield]).toEqual([false, false, true]);
    const third = hold(memory, "third", "3", 2);
    expect([acme.mustYield, other.mustYield, behind.mustYield, third.mustYield]).toEqual([false, true, true, true]);
  });

  test("one that is older than all of them is let in, by as much as one may have, and no other", () => {
    const memory = memoryOf16();
    hold(memory, "acme", "5", 7);
    expect(memory.hasRoom("acme", counted(6), "6")).toBe(false);
    expect(memory.hasRoom("acme", counted(6))).toBe(false);
    expect(memory.hasRoom("acme", counted(6), "4")).toBe(true);
    hold(memory, "acme", "4", 6);
    // A crowd of older ones is not let in on top of each other.
    expect(memory.hasRoom("acme", counted(6), "3")).toBe(false);
    hold(memory, "other", "2", 4);
    expect(memory.hasRoom("third", counted(3), "3")).toBe(false);
    expect(memory.hasRoom("third", counted(3), "1")).toBe(true);
  });

  test("what only reads has no place among them", () => {
    const memory = memoryOf16();
    const reader = hold(memory, "acme", undefined, 6);
    const run = hold(memory, "acme", "1", 6);
    expect([run.mustYield, reader.mustYield]).toEqual([false, true]);
  });
});

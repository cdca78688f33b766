import { describe, expect, test } from "vitest";
import { DatabaseClockEstimate } from "../../src/scheduler/process/database-clock-estimate.ts";

const year = 1_800_000_000_000;

/** Answers that take so long, to questions half a second apart, by a database whose clock is ahead by so much. */
function hearAll(time: DatabaseClockEstimate, answers: readonly (readonly [ms: number, aheadMs: number])[], from = 0) {
  return answers.map(([ms, aheadMs], index) => {
    const askTime = from + index * 500;
    return Math.round(time.add({ askTime, answerTime: askTime + ms, databaseTime: askTime + ms / 4 + year + aheadMs }));
  });
}

describe("what time it is by the database's clock", () => {
  test("is unknown before an answer, and then closer than the slow answers tell alone", () => {
    const time = new DatabaseClockEstimate();
    expect(time.at(0)).toBeUndefined();
    hearAll(time, [
      [400, 0],
      [4, 0],
      [8_000, 0],
      [600, 0],
    ]);
    expect(Math.abs((time.at(5_000) ?? 0) - year - 5_000)).toBeLessThan(20);
  });

  test("is told to have been set, forward and back, and by how much, also where answers are slow", () => {
    const time = new DatabaseClockEstimate();
    const told = hearAll(time, [
      [4, 0],
      [4, 3_600_000],
      [2_000, 3_600_000],
      [4, 3_600_000],
      [4, 0],
    ]);
    expect(told.map((ms) => Math.round(ms / 1_000))).toEqual([0, 3_600, 0, 0, -3_600]);
  });

  test("is not told to have been set where it drifts, goes a little wrong, or is heard late", () => {
    const time = new DatabaseClockEstimate();
    const answers = [0, 100, 200, 900, 100, 100].map(
      (aheadMs, index) => [index % 2 === 0 ? 4 : 6_000, aheadMs] as const,
    );
    expect(hearAll(time, answers)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(hearAll(time, [[4, 100]], 86_400_000)).toEqual([0]);
  });
});

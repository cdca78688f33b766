import { expect, test } from "vitest";
import { preferenceOf } from "../../src/rpc/preference.ts";

test.each([
  ["wait=10", "10"],
  ["respond-async, wait=10; x=y", "10"],
  ['handling="a, wait=9", wait=2', "2"],
  ['handling="\\", wait=9", wait=2', "2"],
  ['WAIT = "1"', "1"],
  ["wait", ""],
  ["wait=soon, wait=2", "soon"],
  ["wait=((, wait=2", "2"],
  ["waiting=3", undefined],
  ["x; wait=3", undefined],
  ["", undefined],
])("Prefer: %s", (header, value) => expect(preferenceOf([header], "wait")).toBe(value));

/** Headers of a length, each the worst that is known for some way of reading them. */
const worst: readonly ((length: number) => string)[] = [
  (length) => `${"a".repeat(length - 1)}"`,
  (length) => `a =${" ".repeat(length - 4)}"`,
  (length) => ",".repeat(length),
  (length) => `wait="${"\\\\".repeat(length / 2 - 4)}`,
  (length) => `wait=(${"a ".repeat(length / 2 - 4)})`,
  (length) => `wait=1${";a=1".repeat(length / 4 - 2)}`,
  (length) => "wait=(,".repeat(length / 7),
];

test.each(worst.map((make, index) => [index, make] as const))("worst header %d takes linear time", (_, make) => {
  const best = (length: number) => {
    const text = make(length);
    const times = Array.from({ length: 5 }, () => {
      const start = performance.now();
      // Many times over, so that the clock's grain does not count.
      for (let turn = 0; turn < 5; turn += 1) preferenceOf([text], "wait");
      return performance.now() - start;
    });
    return Math.min(...times);
  };
  best(16_384);
  // What takes less than this is no matter, and what the clock and others on the machine make of it is not told apart.
  const graceMs = 50;
  expect(best(16_384)).toBeLessThan(8 * best(4_096) + graceMs);
});

import { exitHook, type FunctionContext } from "./jsonata-hooks.ts";

/** Whether the first of two items comes after the second. */
type Comparator = (left: unknown, right: unknown) => unknown;

/**
 * `$sort` as a top-down merge sort in O(n log n). JSONata's own merge copies the rest of both halves for each item, which
 * took half a minute and gigabytes for 49,000 numbers. This one splits and compares in the same order, so that it gives the
 * same result even with a comparator that contradicts itself.
 */
export async function mergeSort(
  this: FunctionContext,
  array: unknown[] | undefined,
  comparator: Comparator | undefined,
) {
  if (array === undefined || array.length <= 1) {
    return array;
  }
  if (comparator === undefined) {
    checkComparable(array);
  }
  const leave = this.environment.lookup(exitHook);
  const step = async () => {
    if (typeof leave === "function") {
      await leave(undefined, undefined, this.environment, undefined);
    }
  };
  return await sorted(array, comparator ?? isGreater, step);
}

/** After this many comparisons the exit hook is called, as JSONata does after each step, so that a watch can stop the sort. */
const comparisonsPerStep = 256;

async function sorted(
  array: readonly unknown[],
  comparator: Comparator,
  step: () => Promise<void>,
): Promise<unknown[]> {
  if (array.length <= 1) {
    return [...array];
  }
  if (array.length <= comparisonsPerStep && comparator === isGreater) {
    await step();
    return array.toSorted((left, right) => (isGreater(left, right) ? 1 : isGreater(right, left) ? -1 : 0));
  }
  const middle = Math.floor(array.length / 2);
  const left = await sorted(array.slice(0, middle), comparator, step);
  const right = await sorted(array.slice(middle), comparator, step);
  const merged: unknown[] = [];
  let [nextLeft, nextRight] = [0, 0];
  while (nextLeft < left.length && nextRight < right.length) {
    if (merged.length % comparisonsPerStep === 0) {
      await step();
    }
    const comes = comparator(left[nextLeft], right[nextRight]);
    const isAfter = comes instanceof Promise ? await comes : comes;
    merged.push(isAfter ? right[nextRight++] : left[nextLeft++]);
  }
  for (; nextLeft < left.length; nextLeft += 1) {
    merged.push(left[nextLeft]);
  }
  for (; nextRight < right.length; nextRight += 1) {
    merged.push(right[nextRight]);
  }
  return merged;
}

/** Compares two numbers or two strings. */
function isGreater(left: unknown, right: unknown): boolean {
  return (left as string) > (right as string);
}

/** Throws JSONata's own error codes, for which JSONata writes the messages. */
function checkComparable(array: readonly unknown[]): void {
  const infinite = array.find((item) => typeof item === "number" && !Number.isFinite(item));
  if (infinite !== undefined) {
    throw { code: "D1001", value: infinite, stack: new Error().stack };
  }
  const isOfOne = (type: string) => array.every((item) => typeof item === type);
  if (!isOfOne("number") && !isOfOne("string")) {
    throw { code: "D3070", index: 1, stack: new Error().stack };
  }
}

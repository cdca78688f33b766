import { expect, test } from "vitest";
import { orAborted, settlesWithin } from "../../src/domain/deadline.ts";

const never = new Promise<never>(() => {});
const expired = {
  after: (_: number, fire: () => void) => {
    fire();
    return () => undefined;
  },
};

test("a wait tells whether the promise settled before its deadline, and rejects as the promise does", async () => {
  expect(await settlesWithin(60_000, Promise.resolve(1))).toBe(true);
  expect(await settlesWithin(0, never)).toBe(false);
  expect(await settlesWithin(60_000, never, expired)).toBe(false);
  await expect(settlesWithin(60_000, Promise.reject(new Error("broken")))).rejects.toThrow("broken");
});

test("a wait ends with the reason of its signal, also where that has aborted before", async () => {
  const stop = new AbortController();
  const waiting = orAborted(never, stop.signal);
  stop.abort(new Error("stopped"));
  await expect(waiting).rejects.toThrow("stopped");
  await expect(orAborted(never, stop.signal)).rejects.toThrow("stopped");
  expect(await orAborted(Promise.resolve(1), new AbortController().signal)).toBe(1);
});

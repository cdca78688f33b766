import { vi } from "vitest";

/** Generous, since it only tells what is stuck from what is slow: a machine may be busy with much else. */
const withinMs = 20_000;

/** Tries until it does not throw; throws what it threw last. */
export async function eventually<T>(
  attempt: () => T | Promise<T>,
  { timeout = withinMs, interval = 20 } = {},
): Promise<T> {
  return await vi.waitFor(attempt, { timeout, interval });
}

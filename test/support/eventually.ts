import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

export type Patience = {
  /** Generous where it is not set, since it only tells what is stuck from what is slow: a machine may be busy with much else. */
  readonly withinMs?: number;
  readonly everyMs?: number;
};

/** Tries until it does not throw; throws what it threw last. */
export async function eventually<T>(
  attempt: () => T | Promise<T>,
  { withinMs = 20_000, everyMs = 20 }: Patience = {},
): Promise<T> {
  const endTime = performance.now() + withinMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() >= endTime) {
        throw error;
      }
    }
    await pause(everyMs);
  }
}

/**
 * Waits until something holds, and answers how many milliseconds that took. Throws where it does not, and says what was
 * waited for. A look that fails counts as no.
 */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  patience: Patience = {},
): Promise<number> {
  const startTime = performance.now();
  await eventually(async () => {
    const isAccessible = await look(holds);
    assert.ok(isAccessible, `after ${Math.round(performance.now() - startTime)} ms still waiting for: ${what}`);
  }, patience);
  return performance.now() - startTime;
}

async function look(holds: () => boolean | Promise<boolean>): Promise<boolean> {
  try {
    return await holds();
  } catch {
    return false;
  }
}

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

/** Generous, since it only tells what is stuck from what is slow: a machine may be busy with much else. */
const boundMs = 600_000;

/**
 * Waits until something is so, and answers how many milliseconds that took. Throws when it does not become so: what is
 * waited for is stuck. A look that fails counts as no.
 */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  { withinMs = boundMs, everyMs = 50 } = {},
): Promise<number> {
  const startTime = performance.now();
  for (;;) {
    if (await look(isSo)) return performance.now() - startTime;
    assert.ok(performance.now() - startTime < withinMs, `after ${withinMs} ms still waiting for: ${what}`);
    await pause(everyMs);
  }
}

async function look(isSo: () => boolean | Promise<boolean>): Promise<boolean> {
  try {
    return await isSo();
  } catch {
    return false;
  }
}

import { setImmediate as nextIteration } from "node:timers/promises";

/** An iteration of the event loop that is shorter than this has accepted nothing; and the longest wait for such a one. */
const idleIterationMs = 0.1;
const waitMaxMs = 500;

/**
 * Waits until the kernel's accept queue is empty. `server.close()` resets connections that the kernel has established and
 * the process has not accepted, and their requests would be lost. A connection may still arrive after the last check; it
 * has sent nothing, so its client can retry elsewhere.
 */
export async function drainAcceptQueue(countAccepted: () => number): Promise<void> {
  const startTime = performance.now();
  // The current iteration may have polled the port before the connections arrived.
  await nextIteration();
  for (let iterationTime = performance.now(); iterationTime - startTime < waitMaxMs; ) {
    const before = countAccepted();
    await nextIteration();
    const time = performance.now();
    if (before === countAccepted() && time - iterationTime < idleIterationMs) {
      return;
    }
    iterationTime = time;
  }
}

import { setImmediate as nextTurn } from "node:timers/promises";

/** How short a turn of the loop must be for no connection to come in it and be spoken on too; and how long one is awaited. */
const quietTurnMs = 0.1;
const quietWaitMs = 500;

/**
 * Settles at the end of a turn of the loop in which a port has no connection left to take: those that the machine has
 * made and the process has not taken yet are reset together with the port, and their requests lost. One may come after
 * the port was last looked at; but a client that is reset before it has sent anything may go elsewhere.
 */
export async function untilQuiet(countAccepted: () => number): Promise<void> {
  const startTime = performance.now();
  // The turn that goes on may have looked at the port before they came.
  await nextTurn();
  for (let turnTime = performance.now(); turnTime - startTime < quietWaitMs; ) {
    const before = countAccepted();
    await nextTurn();
    const time = performance.now();
    if (before === countAccepted() && time - turnTime < quietTurnMs) return;
    turnTime = time;
  }
}

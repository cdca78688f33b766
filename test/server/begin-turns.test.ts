import { setImmediate as nextLoopTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { BeginTurns } from "../../src/server/begin-turns.ts";

/** Who of these began, in order, and after how many turns of the loop, where so many connections are accepted in each. */
async function beginAll(addresses: readonly string[], acceptedEachTurn: number) {
  let accepted = 0;
  const turns = new BeginTurns(() => accepted);
  const order: string[] = [];
  const waiting = addresses.map(async (address, index) => {
    await turns.take(address);
    order.push(`${address}${index}`);
  });
  let loopTurns = 0;
  while (order.length < addresses.length) {
    accepted += acceptedEachTurn;
    loopTurns += 1;
    await nextLoopTurn();
  }
  await Promise.all(waiting);
  return { order, loopTurns };
}

test("connections begin by turns of their addresses, however many one has", async () => {
  const { order } = await beginAll(["a", "a", "a", "a", "b", "c"], 0);
  expect(order).toEqual(["a0", "a1", "b4", "c5", "a2", "a3"]);
});

test("connections that are to be accepted go before those that wait to begin, and keep none of them waiting for ever", async () => {
  const addresses = ["a", "a", "a"];
  const quiet = await beginAll(addresses, 0);
  const busy = await beginAll(addresses, 1);
  expect(busy.order).toEqual(quiet.order);
  expect(busy.loopTurns).toBeGreaterThan(3 * quiet.loopTurns);
});

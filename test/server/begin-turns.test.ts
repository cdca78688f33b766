import { setImmediate as nextLoopTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { BeginTurns } from "../../src/server/begin-turns.ts";

/**
 * Who of these began, in order, and after how many turns of the loop, where so many connections are accepted in each and
 * each takes so long.
 */
async function beginAll(addresses: readonly string[], { acceptedEachTurn = 0, turnMs = 0 } = {}) {
  let accepted = 0;
  let now = 0;
  const turns = new BeginTurns(
    () => accepted,
    () => now,
  );
  const order: string[] = [];
  const waiting = addresses.map(async (address, index) => {
    await turns.take(address);
    order.push(`${address}${index}`);
  });
  let loopTurns = 0;
  while (order.length < addresses.length) {
    accepted += acceptedEachTurn;
    now += turnMs;
    loopTurns += 1;
    await nextLoopTurn();
  }
  await Promise.all(waiting);
  return { order, loopTurns };
}

test("connections begin by turns of their addresses, however many one has", async () => {
  const { order } = await beginAll(["a", "a", "a", "a", "b", "c"]);
  expect(order).toEqual(["a0", "a1", "b4", "c5", "a2", "a3"]);
});

test("connections that are to be accepted go before those that wait to begin, and keep none of them waiting for ever", async () => {
  const addresses = ["a", "a", "a"];
  const quiet = await beginAll(addresses);
  const busy = await beginAll(addresses, { acceptedEachTurn: 1 });
  expect(busy.order).toEqual(quiet.order);
  expect(busy.loopTurns).toBeGreaterThan(3 * quiet.loopTurns);
});

test("where turns of the loop are long a connection begins in each, or where many are to be accepted in one of a few", async () => {
  const addresses = ["a", "a", "a", "a", "a", "a"];
  const quiet = await beginAll(addresses, { turnMs: 10 });
  expect(quiet.loopTurns).toBeLessThan(2 * addresses.length);
  const busy = await beginAll(addresses, { acceptedEachTurn: 1, turnMs: 10 });
  expect(busy.loopTurns).toBeLessThan(3 * addresses.length);
});

import { setImmediate as nextLoopTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { NewConnectionQueue } from "../../src/server/connections/new-connection-queue.ts";

/**
 * Who of these began, in order, and after how many turns of the loop, where so many connections are accepted in each and
 * each takes so long.
 */
async function beginAll(
  addresses: readonly string[],
  {
    acceptedEachTurn = 0,
    turnMs = 0,
    requests = 16,
    isWaiting = (_address: string, _order: readonly string[], _now: number): boolean => false,
  } = {},
) {
  const accepted = { count: 0 };
  let now = 0;
  const order: string[] = [];
  const times: number[] = [];
  const turns = new NewConnectionQueue({
    accepted,
    queuedRequests: { has: (address) => isWaiting(address, order, now) },
    now: () => now,
  });
  const waiting = addresses.map(async (address, index) => {
    await turns.take(address, requests);
    order.push(`${address}${index}`);
    times.push(now);
  });
  let loopTurns = 0;
  while (order.length < addresses.length) {
    accepted.count += acceptedEachTurn;
    now += turnMs;
    loopTurns += 1;
    await nextLoopTurn();
  }
  await Promise.all(waiting);
  return { order, times, loopTurns };
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

test("an address whose requests wait has no further connection begun until they are served, or for so long", async () => {
  const addresses = ["a", "a", "b", "b"];
  const served = await beginAll(addresses, { isWaiting: (address, order) => address === "a" && !order.includes("b3") });
  expect(served.order).toEqual(["b2", "b3", "a0", "a1"]);
  const late = await beginAll(["a", "a"], { turnMs: 10, isWaiting: () => true });
  expect(late.loopTurns).toBeGreaterThan(10);
  expect(late.loopTurns).toBeLessThan(40);
});

test("where turns of the loop are long, connections that bring little begin together, and those that bring much do not", async () => {
  const addresses = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? "a" : "b"));
  const small = await beginAll(addresses, { turnMs: 60, requests: 1 });
  const large = await beginAll(addresses, { turnMs: 60, requests: 128 });
  expect(small.loopTurns).toBeLessThan(10);
  expect(large.loopTurns).toBeGreaterThan(39);
});

test("an address that brought much rests before its next connection, and another does not wait for it", async () => {
  const { order, times } = await beginAll(["a", "a", "a", "b"], { turnMs: 10, requests: 128 });
  expect(order).toEqual(["a0", "b3", "a1", "a2"]);
  const [first = 0, other = 0, second = 0, third = 0] = times;
  expect(other - first).toBeLessThan(100);
  expect(second - first).toBeGreaterThanOrEqual(150);
  expect(third - second).toBeGreaterThanOrEqual(150);
});

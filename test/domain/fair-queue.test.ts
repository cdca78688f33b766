import { expect, test } from "vitest";
import { turnOf } from "../../src/domain/account.ts";
import { FairQueue } from "../../src/domain/collections/fair-queue.ts";

test("an organisation with much waiting waits behind itself alone", () => {
  const queue = new FairQueue<string>();
  for (const item of ["a1", "a2", "a3"]) {
    queue.push(["a", "test"], item);
  }
  queue.push(["b", "test"], "b1");
  queue.push(["b", "test"], "b2");
  expect(queue.size).toBe(5);
  expect(queue.drain()).toEqual(["a1", "b1", "a2", "b2", "a3"]);
  expect(queue.size).toBe(0);
});

test("within an organisation its environments have turns, and within these their accounts", () => {
  const queue = new FairQueue<string>();
  const push = (organizationId: string, environmentId: string, linkedAccountId: string, item: string) =>
    queue.push(turnOf({ organizationId, environmentId, linkedAccountId }), item);
  for (const item of ["1", "2"]) {
    push("a", "test", "john", item);
  }
  push("a", "test", "jane", "3");
  push("a", "production", "john", "4");
  push("b", "test", "john", "5");
  expect(queue.drain()).toEqual(["1", "5", "4", "3", "2"]);
});

test("who comes anew has its turn behind those who wait", () => {
  const queue = new FairQueue<string>();
  queue.push(["a"], "a1");
  expect(queue.shift()).toBe("a1");
  queue.push(["b"], "b1");
  queue.push(["a"], "a2");
  expect(queue.drain()).toEqual(["b1", "a2"]);
});

test("what is taken out leaves nothing behind", () => {
  const queue = new FairQueue<string>();
  queue.push(["a", "test"], "a1");
  queue.push(["a", "test"], "a2");
  expect(queue.delete(["a", "test"], "a1")).toBe(true);
  expect(queue.delete(["a", "test"], "a1")).toBe(false);
  expect(queue.delete(["b", "test"], "a2")).toBe(false);
  expect(queue.size).toBe(1);
  expect(queue.drain()).toEqual(["a2"]);
});

test("who is passed over keeps the turn", () => {
  const queue = new FairQueue<string>();
  for (const top of ["a", "b", "c"]) {
    queue.push([top, "test"], `${top}1`);
  }
  expect([...queue.tops]).toEqual(["a", "b", "c"]);
  expect(queue.shift((top) => top === "a")).toBe("b1");
  expect(queue.shift(() => true)).toBeUndefined();
  expect(queue.size).toBe(2);
  queue.push(["b"], "b2");
  expect(queue.drain()).toEqual(["a1", "c1", "b2"]);
});

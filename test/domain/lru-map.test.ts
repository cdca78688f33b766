import { expect, test } from "vitest";
import { LruMap } from "../../src/domain/collections/lru-map.ts";

test("an LRU map evicts the least recently used entry, and tells which one", () => {
  const evicted: [string, number][] = [];
  const map = new LruMap<string, number>(2, (...entry) => evicted.push(entry));
  map.set("a", 1);
  map.set("b", 2);
  map.get("a");
  map.peek("b");
  map.set("c", 3);
  expect(evicted).toEqual([["b", 2]]);
  map.set("a", 4);
  map.set("d", 5);
  expect(evicted).toEqual([
    ["b", 2],
    ["c", 3],
  ]);
  map.delete("a");
  map.set("e", 6);
  expect(evicted.length).toBe(2);
  expect([...map.entries()]).toEqual([
    ["d", 5],
    ["e", 6],
  ]);
});

import { beforeEach, expect, test } from "vitest";
import { RateLimiter } from "../../src/domain/limits/rate-limit.ts";
import { ManualClock } from "../engine/manual-clock.ts";

let clock: ManualClock;

beforeEach(() => {
  clock = new ManualClock();
});

/** How many of so many requests are let through. */
function take(rates: RateLimiter, count: number, keyId = "k", organizationId = "o"): number {
  let taken = 0;
  for (let index = 0; index < count; index += 1) {
    try {
      rates.take({ keyId, organizationId });
      taken += 1;
    } catch {}
  }
  return taken;
}

/** Each second, so many requests at each process; each tells the others what it measured. Answers what was let through. */
function pass(processes: readonly RateLimiter[], asked: readonly number[]): readonly number[] {
  const steps = 10;
  const taken: number[] = [];
  for (let step = 0; step < steps; step += 1) {
    clock.advance(1_000 / steps);
    for (const [index, rates] of processes.entries()) {
      taken[index] = (taken[index] ?? 0) + take(rates, (asked[index] ?? 0) / steps);
    }
    if (step % 5 !== 4) {
      continue;
    }
    const reports = processes.map((rates) => rates.measure());
    for (const [index, rates] of processes.entries()) {
      rates.setElsewhere(reports.filter((_, other) => other !== index).flat());
    }
  }
  return taken;
}

test("a key has its requests of a second at once, and then as many as time brings; another key has its own", () => {
  const rates = new RateLimiter({ keyRequestsMax: 100, organizationRequestsMax: 1_000 }, clock);
  expect(take(rates, 150)).toBe(100);
  expect(() => rates.take({ keyId: "k", organizationId: "o" })).toThrow(
    "More than 100 requests a second came with this API key (limit key_requests)",
  );
  expect(take(rates, 150, "other")).toBe(100);
  clock.advance(250);
  expect(take(rates, 150)).toBe(25);
  clock.advance(60_000);
  rates.measure();
  rates.measure();
  expect(take(rates, 150)).toBe(100);
});

test("an organisation has its requests with all its keys, at least those of one key; another has its own", () => {
  const rates = new RateLimiter({ keyRequestsMax: 100, organizationRequestsMax: 150 }, clock);
  expect([take(rates, 150, "k"), take(rates, 150, "l"), take(rates, 150, "m")]).toEqual([100, 50, 0]);
  expect(() => rates.take({ keyId: "n", organizationId: "o" })).toThrow(
    "More than 150 requests a second came with the keys of this organisation (limit organization_requests)",
  );
  expect(take(rates, 150, "x", "other")).toBe(100);
  clock.advance(100);
  expect([take(rates, 50, "k"), take(rates, 50, "l")]).toEqual([10, 5]);
  expect(take(new RateLimiter({ keyRequestsMax: 100, organizationRequestsMax: 1 }, clock), 150)).toBe(100);
});

test("an organisation that asks at several processes has its limit over all of them", () => {
  const processes = [0, 1].map(() => new RateLimiter({ keyRequestsMax: 1_000, organizationRequestsMax: 1_000 }, clock));
  const asked = [3_000, 1_000];
  pass(processes, asked);
  pass(processes, asked);
  const [first = 0, second = 0] = pass(processes, asked);
  expect(first + second).toBeGreaterThan(950);
  expect(first + second).toBeLessThan(1_050);
});

test("a key that is used at several processes has its limit over all of them, by what is asked at each", () => {
  const processes = [0, 1, 2].map(
    () => new RateLimiter({ keyRequestsMax: 1_000, organizationRequestsMax: 9_000 }, clock),
  );
  const asked = [3_000, 1_000, 0];
  pass(processes, asked);
  pass(processes, asked);
  const [first = 0, second = 0] = pass(processes, asked);
  expect(first + second).toBeGreaterThan(950);
  expect(first + second).toBeLessThan(1_050);
  expect(first / second).toBeCloseTo(3, 0);
  // What asks no more leaves its part to the other.
  const idle = [3_000, 0, 0];
  pass(processes, idle);
  pass(processes, idle);
  const [alone = 0] = pass(processes, idle);
  expect(alone).toBeGreaterThan(950);
  expect(alone).toBeLessThan(1_050);
});

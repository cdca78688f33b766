import { describe, expect, type TestOptions, test } from "vitest";
import { injectedPostgres } from "../support/postgres.ts";
import { cases } from "./cases.ts";
import { type FaultCase, seededRandom } from "./fault-case.ts";

const seed = Number(process.env["TEST_SEED"] ?? 1);

test("every case has a name of its own", () => {
  expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
});

describe.concurrent("a sample of what is to be survived", () => {
  for (const one of cases.filter(({ besides }) => besides === undefined)) {
    testSample(one);
  }
});

describe("a sample of what is to be survived, two at a time", () => {
  const pairs = cases.filter(({ besides }) => besides === 1);
  for (const lane of [0, 1]) {
    describe.concurrent(`lane ${lane}`, () => {
      for (const one of pairs.filter((_, index) => index % 2 === lane)) {
        testSample(one, { concurrent: false });
      }
    });
  }
});

describe("a sample of what is to be survived, one after the other", () => {
  for (const one of cases.filter(({ besides }) => besides === 0)) {
    testSample(one);
  }
});

function testSample({ id, title, run }: FaultCase, options: TestOptions = {}): void {
  test(`${id}: ${title}`, { timeout: 600_000, ...options }, async () => {
    const say = () => undefined;
    await run({ seed, random: seededRandom(seed), size: "sample", postgres: injectedPostgres(), say });
  });
}

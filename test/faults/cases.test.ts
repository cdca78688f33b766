import { describe, expect, test } from "vitest";
import { injectedPostgres } from "../support/postgres.ts";
import { cases } from "./cases.ts";
import { type FaultCase, seededRandom } from "./fault-case.ts";

const seed = Number(process.env["TEST_SEED"] ?? 1);

test("every case has a name of its own", () => {
  expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
});

describe.concurrent("a sample of what is to be survived", () => {
  for (const one of cases) {
    if (!one.isAlone) {
      testSample(one);
    }
  }
});

describe("a sample of what is to be survived, one after the other", () => {
  for (const one of cases) {
    if (one.isAlone) {
      testSample(one);
    }
  }
});

function testSample({ id, title, run }: FaultCase): void {
  test(`${id}: ${title}`, { timeout: 600_000 }, async () => {
    const say = () => undefined;
    await run({ seed, random: seededRandom(seed), size: "sample", postgres: injectedPostgres(), say });
  });
}

import { describe, expect, test } from "vitest";
import { injectedPostgres } from "../support/postgres.ts";
import { cases } from "./cases.ts";
import { seededRandom } from "./fault-case.ts";

const seed = Number(process.env["TEST_SEED"] ?? 1);

test("every case has a name of its own", () => {
  expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
});

/** What CI has just shown of this tree is not shown once more (`.ci/run`). */
const isShown = process.env["TEST_FAULTS"] === "shown";

describe.skipIf(isShown).concurrent("a sample of what is to be survived", () => {
  for (const { id, title, run } of cases) {
    test(`${id}: ${title}`, { timeout: 600_000 }, async () => {
      const say = () => undefined;
      await run({ seed, random: seededRandom(seed), size: "sample", postgres: injectedPostgres(), say });
    });
  }
});

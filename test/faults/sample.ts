import { test } from "vitest";
import { injectedPostgres } from "../support/postgres.ts";
import { type FaultCase, seededRandom } from "./fault-case.ts";

const seed = Number(process.env["TEST_SEED"] ?? 1);

/** Tests the sample of a case. */
export function testSample({ id, title, run }: FaultCase): void {
  test(`${id}: ${title}`, { timeout: 600_000 }, async () => {
    const say = () => undefined;
    await run({ seed, random: seededRandom(seed), size: "sample", postgres: injectedPostgres(), say });
  });
}

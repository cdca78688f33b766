import { describe, expect, test } from "vitest";
import { cases } from "./cases.ts";
import { testSample } from "./sample.ts";

test("every case has a name of its own", () => {
  expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
});

describe.concurrent("a sample of what is to be survived", () => {
  for (const one of cases) if (!one.isAlone) testSample(one);
});

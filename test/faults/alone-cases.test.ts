import { describe } from "vitest";
import { cases } from "./cases.ts";
import { testSample } from "./sample.ts";

describe("a sample of what is to be survived, one after the other", () => {
  for (const one of cases) if (one.isAlone) testSample(one);
});

import { expect, test } from "vitest";
import { preferenceOf } from "../../src/rpc/chain/preference.ts";

test.each([
  ["wait=10", "10"],
  ["respond-async, wait=10; x=y", "10"],
  ['handling="a, wait=9", wait=2', "2"],
  ['handling="\\", wait=9", wait=2', "2"],
  ['WAIT = "1"', "1"],
  ["wait", ""],
  [`wait=${"9".repeat(20)}`, "9".repeat(20)],
  [`wait=${"9".repeat(20)} ;a=b`, "9".repeat(20)],
  [`wait=${"9".repeat(20)}s, wait=2`, "2"],
  ["wait=soon, wait=2", "soon"],
  ["wait=((, wait=2", "2"],
  ["waiting=3", undefined],
  ["x; wait=3", undefined],
  ["", undefined],
])("Prefer: %s", (header, value) => expect(preferenceOf([header], "wait")).toBe(value));

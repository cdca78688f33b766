import { expect, test } from "vitest";
import { ScriptEngine } from "../../src/engine/code/script-engine.ts";

const engine = await ScriptEngine.create();

const run = (code: string) => engine.run({ code, params: "{}", now: 5, seed: [1, 2, 3, 4], timeoutMs: 10_000 });

const look = `function yourFunction() {
  return [typeof left, {}.kind, [].length, typeof JSON.stringify, Symbol.for("s").left, RegExp.$1, Math.random(), Date.now()];
}`;

test.each([
  ["globals and changed intrinsics", "left = 1; Object.prototype.kind = 1; JSON.stringify = 1; yourFunction = () => 1"],
  ["an error", "left = 1; throw new Error('no')"],
  ["a syntax error", "left = 1; }"],
  ["promises that never ran", "left = 1; async function yourFunction() { for (;;) { await null; throw 1; } }"],
  ["much memory that was given back", "left = 'x'.repeat(1e7); function yourFunction() { return Math.random(); }"],
])("a script finds nothing of one before in the same engine: %s", (_, before) => {
  const first = run(look);
  expect(first.outcome.kind).toBe("output");
  run(before);
  expect(run(look)).toEqual(first);
});

test("scripts do not fill the engine", () => {
  for (let turn = 0; turn < 100; turn += 1) {
    run("left = 'x'.repeat(1e6); function yourFunction() {}");
  }
  expect(engine.isWorn).toBe(false);
});

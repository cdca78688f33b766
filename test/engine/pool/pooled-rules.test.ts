import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { begin, run, start } from "../workflow.ts";

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

/** What no Rule reads in line: two equal arrays, whose comparison takes 3 of the 2 million characters that it may read. */
const large = { left: numbers(30_000), right: numbers(30_000) };
const isEqual = { left: "{{event.body.large.left}}", operator: "eq", right: "{{event.body.large.right}}" };
const isUnequal = { ...isEqual, operator: "neq" };

const comparison = fc.record({
  left: fc.constantFrom("{{event.body.a}}", "{{event.body.list}}", "{{event.body.none}}", "x{{event.body.a}}", "5.50"),
  operator: fc.constantFrom("eq", "neq", "gt", "contains", "included_in", "is_null", "exist", "starts_with"),
  right: fc.constantFrom("5.5", "{{event.body.list}}", "{{event.body.nothing}}", "x5.5", "", '["5.5"]'),
});

async function ask(comparisons: readonly JsonObject[], match: string, body: JsonObject) {
  const rule = { match, comparisons: [...comparisons] };
  const { records } = await run([start, { id: "r", rule }], ["start > r"], { body });
  const { state, output, notes, error } = records.find(({ path }) => path === "r") ?? {};
  return { state, output, notes, error };
}

describe("a Rule whose sides are large", () => {
  test("is decided in a child process as it is in line, with the same notes", async () => {
    const body = { a: "5.5", list: ["5.5", 7, null], large };
    await fc.assert(
      fc.asyncProperty(
        fc.array(comparison, { minLength: 1, maxLength: 4 }),
        fc.constantFrom("ALL", "ANY"),
        async (comparisons, match) => {
          // What does not decide changes nothing but the place of work.
          const first = match === "ALL" ? isEqual : isUnequal;
          const inLine = await ask(comparisons, match, body);
          expect(await ask([first, ...comparisons], match, body)).toEqual(inLine);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("reads what has no text of its own, as the item of a Group, and decides whether the Group goes on", async () => {
    const item: JsonValue = { left: large.left, right: large.right };
    const [left, right] = ["{{node.g.body.array_item.left}}", "{{node.g.body.array_item.right}}"];
    const breakWhen = { match: "ALL", comparisons: [{ left, operator: "eq", right }] };
    const group = {
      array: "{{event.body.items}}",
      output: "{{node.g.body.iteration_count}}",
      concurrency: 1,
      break_when: breakWhen,
    };
    const nodes = [start, { id: "g", group }, { id: "t", group_id: "g", transform: { query: "1" } }];
    const items = [{ left: 1, right: 2 }, item, { left: 1, right: 2 }];
    const { records } = await run(nodes, ["start > g", "g each > t"], { body: { items } });
    expect(records.find(({ path }) => path === "g")?.output).toBe("[0,1]");
  });

  test("ends with its run, and is asked again by the next", async () => {
    const rule = { match: "ALL", comparisons: Array.from({ length: 4 }, () => isEqual) };
    const nodes = [start, { id: "r", rule }];
    const options = { body: { large } };
    const { outcome, journal, stop } = begin(nodes, ["start > r"], options);
    stop.abort("enough");
    await expect(outcome).rejects.toBe("enough");
    const { records } = await run(nodes, ["start > r"], { ...options, earlier: journal.records });
    expect(records.find(({ path }) => path === "r")?.output).toBe('{"satisfied":true}');
  });
});

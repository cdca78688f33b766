import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { defaultLimits } from "../../src/domain/limits.ts";
import { loadGraph } from "../../src/engine/compile/compile-graph.ts";
import { WorkflowDefinitionSchema } from "../../src/gen/flowcall/v1/definition_pb.ts";
import { type Case, checkProblems as check, comparing, only, response, transform } from "./definitions.ts";
import { start } from "./workflow.ts";

/** A call whose body is that JSON. */
function requestOf(json: string) {
  return { id: "a", http: { method: "POST", url: "https://api.example", json } };
}

const edge = { source: "start", target: "a" };

const never = { comparisons: [{ left: "1", operator: "eq", right: "2" }] };

describe("a field that cannot work keeps the graph from running, and its author learns where it is", () => {
  const cases: readonly Case[] = [
    [
      "a node that does not exist",
      only(response("a", "{{node.nobody.body}}")),
      "TEMPLATE_NODE_UNKNOWN a response.data",
    ],
    [
      "a name that two nodes have",
      {
        nodes: [
          start,
          transform("a", "1", { name: "N" }),
          transform("b", "1", { name: "N" }),
          response("c", '"{{node.N.body}}"'),
        ],
        edges: ["start > a", "a > b", "b > c"],
      },
      "TEMPLATE_NAME_AMBIGUOUS c response.data",
    ],
    ...(
      [
        ["no alias", { workflow: "{{event.body.which}}" }, "workflow"],
        ["no slug", { workflow: "a", slug: "a b" }, "slug"],
        ["no version", { workflow: "a", version: 0 }, "version"],
        ["a payload that is no object", { workflow: "a", payload: "[1]" }, "payload"],
      ] as const
    ).map(([what, sub_flow, field]): Case => {
      return [`a Sub Flow: ${what}`, only({ id: "a", sub_flow }), `SUB_FLOW_INVALID a sub_flow.${field}`];
    }),
    ["a template without an end", only(transform("a", "{{event.body")), "TEMPLATE_MALFORMED a transform.query"],
    ["an empty template", only(transform("a", "{{ }}")), "TEMPLATE_MALFORMED a transform.query"],
    ["two dots", only(transform("a", "{{event.body..x}}")), "TEMPLATE_MALFORMED a transform.query"],
    ...[
      "{{event.body.n * 2}}",
      "{{event.body.n * 2.5}}",
      "{{event.body.a ?? b}}",
      "{{event.body.a || 'x'}}",
      "{{event.body.a > 1 ? event.body.b}}",
      "{{event.body.round(n)}}",
      "{{event.headers.a + b}}",
      "{{node.start.body.x - y}}",
      "{{linked_account.f(x)}}",
      "{{workflow.fields.a & b}}",
    ].map((query) => [query, only(transform("a", query)), "TEMPLATE_COMPUTES a transform.query"] as const),
    ...["{{event.body['a.b}}", '{{event.body["a"]}}', "{{event.body['a']b}}", "{{event.body.[0]}}", "{{[0]}}"].map(
      (query) => [query, only(transform("a", query)), "TEMPLATE_MALFORMED a transform.query"] as const,
    ),
    ["a template in a template", only(transform("a", "{{event.{{body}}")), "TEMPLATE_MALFORMED a transform.query"],
    ["a root that is none", only(transform("a", "{{secrets.key}}")), "TEMPLATE_UNKNOWN a transform.query"],
    ["the event alone", only(transform("a", "{{event}}")), "TEMPLATE_UNKNOWN a transform.query"],
    ["a node without body", only(transform("a", "{{node.start.status}}")), "TEMPLATE_UNKNOWN a transform.query"],
    [
      "a template as a member's name",
      only(response("a", '{"{{event.body.k}}": 1}')),
      "TEMPLATE_MISPLACED a response.data",
    ],
    [
      "a template in a regular expression",
      only(transform("a", "$match($, /{{event.body.k}}/)")),
      "TEMPLATE_MISPLACED a transform.query",
    ],
    [
      "no such operator",
      only(comparing({ left: "1", operator: "is", right: "1" })),
      "OPERATOR_UNKNOWN n rule.comparisons[0].operator",
    ],
    [
      "an operator named as a member of objects",
      only(comparing({ left: "1", operator: "constructor", right: "1" })),
      "OPERATOR_UNKNOWN n rule.comparisons[0].operator",
    ],
    ["no right side", only(comparing({ left: "1", operator: "eq" })), "RIGHT_SIDE_MISSING n rule.comparisons[0].right"],
    ["a Rule that compares nothing", only({ id: "n", rule: {} }), "COMPARISONS_MISSING n rule.comparisons"],
    [
      "bad conditions",
      only(transform("a", "1", { settings: { conditions: { comparisons: [{ left: "{{x}}", operator: "exist" }] } } })),
      "TEMPLATE_UNKNOWN a settings.conditions.comparisons[0].left",
    ],
    ["a query that is none", only(transform("a", "1 +")), "EXPRESSION_INVALID a transform.query"],
    ["an empty query", only(transform("a", "")), "EXPRESSION_INVALID a transform.query"],
    ...[
      "7615917337495251231",
      '{"id": -7615917337495251231}',
      "items[id=9007199254740993].name",
      "1+9007199254740993",
      "[1..9007199254740993.5]",
    ].map(
      (query) =>
        [`a query that rounds, ${query}`, only(transform("a", query)), "EXPRESSION_INVALID a transform.query"] as const,
    ),
    [
      "a regular expression that needs backtracking",
      only(transform("a", "$match($, /(a)\\1/)")),
      "EXPRESSION_INVALID a transform.query",
    ],
    ["a bad input", only({ id: "a", transform: { query: "1", input: "{{x}}" } }), "TEMPLATE_UNKNOWN a transform.input"],
    ["empty JSON", only(response("a", "")), "JSON_INVALID a response.data"],
    ["a comma too many", only(response("a", '{"a": 1,}')), "JSON_INVALID a response.data"],
    ["text behind the JSON", only(response("a", "1 2")), "JSON_INVALID a response.data"],
    ["a member twice", only(response("a", '{"a": 1, "a": 2}')), "JSON_INVALID a response.data"],
    ["JSON that is too deep", only(response("a", "[".repeat(33) + "]".repeat(33))), "JSON_INVALID a response.data"],
    ...[
      ["an integer that a double cannot hold", '{"id": 7615917337495251231}'],
      ["a number that becomes such an integer when it is written", "[1e20]"],
      ["a number that overflows", "1e400"],
      ["the character NUL", '"a\\u0000"'],
      ["the character NUL beside a template", '"{{event.body.a}}\\u0000"'],
      ["half of a surrogate pair", '["\\ud800"]'],
      ["a member's name that is no text", '{"\\udc00": 1}'],
      ["an object with too many members", `{${Array.from({ length: 10_001 }, (_, index) => `"${index}":1`)}}`],
      ["too many values", `[${"1,".repeat(50_000)}1]`],
    ].flatMap(([name = "", json = ""]) => [
      [`${name}, in a Response`, only(response("a", json)), "JSON_INVALID a response.data"] as const,
      [`${name}, in a request`, only(requestOf(json)), "JSON_INVALID a http.json"] as const,
      [
        `${name}, in a Group's output`,
        only({ id: "g", group: { count: "1", output: json } }),
        "JSON_INVALID g group.output",
      ] as const,
    ]),
    [
      "two templates side by side",
      only(response("a", "{{event.body.a}}{{event.body.b}}")),
      "JSON_INVALID a response.data",
    ],
    [
      "a template that ends in another string",
      only(response("a", '["{{event.body.a", "}}"]')),
      "TEMPLATE_MALFORMED a response.data",
    ],
    ["a string without an end", only(response("a", '"{{event.body.a}}')), "JSON_INVALID a response.data"],
    [
      "bad JSON in a Group",
      only({ id: "g", group: { array: "{{event.body.a}}", output: "{" } }),
      "JSON_INVALID g group.output",
    ],
    ["a Group of nothing", only({ id: "g", group: {} }), "GROUP_MODE_MISSING g group"],
    ["a Group without an array", only({ id: "g", group: { array: "" } }), "GROUP_ARRAY_INVALID g group.array"],
    ...["", "-1", "2.5", "many", "007", "1 2", "9007199254740992"].map(
      (count) =>
        [`a count of "${count}"`, only({ id: "g", group: { count } }), "GROUP_COUNT_INVALID g group.count"] as const,
    ),
    [
      "a count that reads nothing known",
      only({ id: "g", group: { count: "{{x}}" } }),
      "TEMPLATE_UNKNOWN g group.count",
    ],
    [
      "a do_while without a condition",
      only({ id: "g", group: { do_while: {} } }),
      "COMPARISONS_MISSING g group.do_while.condition.comparisons",
    ],
    [
      "a bad condition",
      only({ id: "g", group: { do_while: { condition: { comparisons: [{ left: "{{x}}", operator: "exist" }] } } } }),
      "TEMPLATE_UNKNOWN g group.do_while.condition.comparisons[0].left",
    ],
    [
      "a do_while side by side",
      only({ id: "g", group: { do_while: { condition: never }, concurrency: 2 } }),
      "CONCURRENCY_INVALID g group.concurrency",
    ],
    [
      "a do_while of no concurrency",
      only({ id: "g", group: { do_while: { condition: never }, concurrency: 0 } }),
      "CONCURRENCY_INVALID g group.concurrency",
    ],
    ...[{ array: "{{event.body.a}}" }, { count: "3" }].flatMap((mode) =>
      [{}, { concurrency: 2 }].map(
        (more) =>
          [
            `break_when side by side: ${JSON.stringify({ ...mode, ...more })}`,
            only({ id: "g", group: { ...mode, ...more, break_when: never } }),
            "CONCURRENCY_INVALID g group.concurrency",
          ] as const,
      ),
    ),
    [
      "a break_when that compares nothing",
      only({ id: "g", group: { count: "3", concurrency: 1, break_when: {} } }),
      "COMPARISONS_MISSING g group.break_when.comparisons",
    ],
    [
      "an array that is a text",
      only({ id: "g", group: { array: "a {{event.body.a}}" } }),
      "GROUP_ARRAY_INVALID g group.array",
    ],
    [
      "concurrency of none",
      only({ id: "g", group: { array: "{{event.body.a}}", concurrency: 0 } }),
      "CONCURRENCY_INVALID g group.concurrency",
    ],
    [
      "concurrency of 101",
      only({ id: "g", group: { array: "{{event.body.a}}", concurrency: 101 } }),
      "CONCURRENCY_INVALID g group.concurrency",
    ],
    ...[199, 202, 204, 205, 206, 301, 600].map(
      (code) =>
        [
          `status code ${code}`,
          only(response("a", "1", { status_code: code })),
          "STATUS_CODE_INVALID a response.status_code",
        ] as const,
    ),
    ["a Delay of nothing", only({ id: "d", delay: {} }), "DELAY_INVALID d delay"],
    ["a Delay below 0", only({ id: "d", delay: { seconds: "-1" } }), "DELAY_INVALID d delay.seconds"],
    ["a Delay of 31 days", only({ id: "d", delay: { seconds: String(31 * 86_400) } }), "DELAY_INVALID d delay.seconds"],
    ["a Delay of words", only({ id: "d", delay: { seconds: "soon" } }), "DELAY_INVALID d delay.seconds"],
    ["a day that is none", only({ id: "d", delay: { until: "2026-02-30T00:00:00Z" } }), "DELAY_INVALID d delay.until"],
    [
      "a time without offset",
      only({ id: "d", delay: { until: "2026-02-03T00:00:00" } }),
      "DELAY_INVALID d delay.until",
    ],
    [
      "no attempts",
      only(transform("a", "1", { settings: { retry: { max_attempts: 0 } } })),
      "RETRY_INVALID a settings.retry.max_attempts",
    ],
    [
      "too many attempts, too late",
      only(transform("a", "1", { settings: { retry: { max_attempts: 21, delay_ms: 3_600_001 } } })),
      "RETRY_INVALID a settings.retry.max_attempts",
      "RETRY_INVALID a settings.retry.delay_ms",
    ],
    [
      "a time-out of 0",
      only(transform("a", "1", { settings: { timeout_ms: 0 } })),
      "TIMEOUT_INVALID a settings.timeout_ms",
    ],
    [
      "an output without a key",
      { nodes: [{ id: "s", start: { api_call: { output: [{ key: "", value: "1" }] } } }] },
      "OUTPUT_KEY_INVALID s start.api_call.output[0].key",
    ],
    [
      "a template in Start's output",
      { nodes: [{ id: "s", start: { api_call: { output: [{ key: "a", value: "{{x}}" }] } } }] },
      "TEMPLATE_UNKNOWN s start.api_call.output[0].value",
    ],
    [
      "a template in Terminate's message",
      only({ id: "t", terminate: { message: "{{x}}" } }),
      "TEMPLATE_UNKNOWN t terminate.message",
    ],
  ];
  for (const [name, definition, ...errors] of cases) {
    test(name, () => check(definition, { errors }));
  }
});

test("all problems are told at once, in the order of the nodes", () => {
  check(
    {
      nodes: [
        start,
        response("a", "{", { status_code: 100 }),
        transform("b", "1 +"),
        comparing({ left: "{{x}}", operator: "y" }),
      ],
      edges: ["start > a", "a > b", "a > n", "b > nowhere"],
    },
    {
      errors: [
        "EDGE_NODE_UNKNOWN - edges[3].target",
        "JSON_INVALID a response.data",
        "STATUS_CODE_INVALID a response.status_code",
        "EXPRESSION_INVALID b transform.query",
        "TEMPLATE_UNKNOWN n rule.comparisons[0].left",
        "OPERATOR_UNKNOWN n rule.comparisons[0].operator",
      ],
    },
  );
});

test.each(['{"id": 7615917337495251231}', "1e400", '"a\\u0000"', '["\\ud800"]'])(
  "a version that was published with %s still runs",
  async (data) => {
    const definition = fromJson(WorkflowDefinitionSchema, { nodes: [start, response("a", data)], edges: [edge] });
    const { errors } = await loadGraph(definition, defaultLimits, () => undefined);
    expect(errors).toEqual([]);
  },
);

describe("a version that was published before a check was there still runs", () => {
  const calling = (http: JsonObject) => ({
    id: "a",
    http: { method: "GET", url: "https://api.example.com/", ...http },
  });
  const cursor = { parameter: "c", path: "next" };
  test.each([
    ["a header", calling({ headers: [{ key: "cdn-loop", value: "edge" }] }), "HEADER_INVALID a http.headers[0].key"],
    [
      "a path of items",
      calling({ pagination: { items: "a['b", cursor } }),
      "PAGINATION_INVALID a http.pagination.items",
    ],
    [
      "a path of a cursor",
      calling({ pagination: { cursor: { ...cursor, path: "a..b" } } }),
      "PAGINATION_INVALID a http.pagination.cursor.path",
    ],
    ["a template", response("a", "[{{event.body.a['b}}]"), "TEMPLATE_MALFORMED a response.data"],
    ["a computation", response("a", "[{{event.body.n * 2}}]"), "TEMPLATE_COMPUTES a response.data"],
    ["a query", transform("a", "$nobody(1)"), "EXPRESSION_INVALID a transform.query"],
    ["an integer in a query", transform("a", "7615917337495251231"), "EXPRESSION_INVALID a transform.query"],
    [
      "a hidden path",
      { ...transform("a"), settings: { encrypted_output_fields: ["a['b"] } },
      "OUTPUT_PATH_INVALID a settings.encrypted_output_fields",
    ],
  ])("%s", async (_, node, refused) => {
    const graph = { nodes: [start, node], edges: [edge] };
    check(only(node), { errors: [refused] });
    const { errors } = await loadGraph(fromJson(WorkflowDefinitionSchema, graph), defaultLimits, () => undefined);
    expect(errors).toEqual([]);
  });
});

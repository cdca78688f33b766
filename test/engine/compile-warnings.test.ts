import { describe, expect, test } from "vitest";
import {
  type Case,
  checkProblems as check,
  comparing,
  type Definition,
  group,
  only,
  response,
  rule,
  transform,
} from "./definitions.ts";
import { compile, type NodeJson, start } from "./workflow.ts";

const sample = { name: "Ada", items: [{ sku: "A" }], empty: {}, none: null };
const schema = {
  type: "object",
  additionalProperties: false,
  properties: {
    name: { type: "string" },
    items: { type: "array", items: { type: "object", properties: { sku: {} }, additionalProperties: false } },
    meta: { type: "object" },
  },
};

describe("templates that read nothing are warned of", () => {
  const noPayload = "TEMPLATE_NEVER_RESOLVES";
  const notInSample = "TEMPLATE_NOT_IN_SAMPLE";
  const fields = [
    { name: "region", type: "STRING" },
    { name: "box", type: "OBJECT" },
  ];
  type ReadCase = readonly [path: string, reason?: string];
  const paths = (
    cases: readonly ReadCase[],
    panel: object,
    more: Pick<Definition, "fields" | "applicationFields"> = {},
  ) => {
    for (const [path, reason] of cases) {
      test(path, () => {
        const nodes = [{ id: "s", start: { api_call: panel } }, response("r", `"{{${path}}}"`)] as NodeJson[];
        check({ nodes, edges: ["s > r"], ...more }, { warnings: reason ? [`${reason} r response.data`] : [] });
      });
    }
  };

  describe("where the schema takes no payload that has the path", () => {
    const cases: readonly ReadCase[] = [
      ["event.body.nmae", noPayload],
      ["event.body.items[0].skuu", noPayload],
      ["event.body.items.sku", noPayload],
      ["event.body.name.first", noPayload],
      ["node.s.body.nmae", noPayload],
      ["event.body"],
      ["event.body.name"],
      ["event.body.items[7].sku"],
      ["event.body.meta.anything"],
      ["event.headers.anything"],
      ["linked_account.anything"],
    ];
    paths(cases, { payload: { name: "Ada" }, schema });
  });

  describe("where the sample alone lacks the path, and it says something", () => {
    const cases: readonly ReadCase[] = [
      ["event.body.nmae", notInSample],
      ["event.body.items[3].skuu", notInSample],
      ["event.body.items.sku", notInSample],
      ["event.body.name.first", notInSample],
      ["event.body.items[3].sku"],
      ["event.body.empty.a"],
      ["event.body.none.a"],
    ];
    paths(cases, { payload: sample });
    paths([["event.body.anything"]], { payload: {} });
    paths([["event.body.other"], ["event.body.other.a"]], {
      payload: sample,
      schema: { properties: { other: { properties: { a: {} } } } },
    });
  });

  describe("where a field is not declared, or not as what is read", () => {
    const cases: readonly ReadCase[] = [
      ["workflow.fields.regoin", "FIELD_NOT_DECLARED"],
      ["workflow.fields.region.code", noPayload],
      ["application.fields.regoin", "FIELD_NOT_DECLARED"],
      ["workflow.fields.region"],
      ["workflow.fields.box.anything"],
      ["workflow.fields"],
      ["application.fields.key"],
    ];
    paths(cases, {}, { fields, applicationFields: [{ name: "key", type: "STRING" }] });
    paths([["application.fields.of an integration that is not known"]], {});
  });

  const reading = (path: string) => response("r", `"{{${path}}}"`);
  const never = `${noPayload} r response.data`;
  const behind = (node: NodeJson, path: string): Definition => ({
    nodes: [start, node, reading(path)],
    edges: [`start > ${node.id}`, `${node.id} > r`],
  });
  const inside = (array: string, query: string): Definition => ({
    nodes: [
      { id: "s", start: { api_call: { schema } } },
      { id: "g", group: { array, output: '{ "sku": "{{node.i.body}}" }' } },
      transform("i", query, { group_id: "g" }),
    ],
    edges: ["s > g", "g each > i"],
  });
  const bytes = { id: "h", http: { method: "GET", url: "https://api.example/", answer: "BYTES" } };
  const counted = { id: "g", group: { count: "2", output: '{ "sku": "{{event.body.x}}" }' } };
  const cases: readonly Case[] = [
    ["a Rule", { ...behind(rule("n"), "node.n.body.satisfed"), edges: ["start > n", "n true > r"] }, never],
    ["a Delay", behind({ id: "d", delay: { seconds: "1" } }, "node.d.body.seconds"), never],
    ["a Transform that writes an object out", behind(transform("t", '{ "total": 1 }'), "node.t.body.totl"), never],
    ["the same behind an assignment", behind(transform("t", '($a := 1; { "total": $a })'), "node.t.body.totl"), never],
    ["a member that is there", behind(transform("t", '{ "total": 1 }'), "node.t.body.total")],
    ["a path, whose one item is no list", behind(transform("t", "items.{ 'a': 1 }"), "node.t.body.b")],
    ["a name that is computed", behind(transform("t", '{ "a" & b: 1 }'), "node.t.body.b")],
    ["one that is grouped", behind(transform("t", '{ "a": 1 }.b'), "node.t.body.b")],
    ["an answer's bytes", behind(bytes, "node.h.body.base"), never],
    ["a header", behind(bytes, "node.h.headers.X-Any")],
    ["an answer's JSON", behind({ id: "h", http: { method: "GET", url: "https://api.example/" } }, "node.h.body.any")],
    ["an iteration's output", behind(counted, "node.g.body[0].skuu"), never],
    ["the item of a Group from behind it", behind(counted, "node.g.body.iteration_count"), never],
    ["an iteration's output that is there", behind(counted, "node.g.body[9].sku")],
    [
      "a Response",
      {
        nodes: [start, response("a", '{ "ok": [true, "{{event.body}}"] }'), transform("t", "{{node.a.body.ok[2]}}")],
        edges: ["start > a", "a > t"],
      },
      `${noPayload} t transform.query`,
    ],
    ["an item's member", inside("{{event.body.items}}", "{{node.g.body.array_item.sku}}")],
    [
      "an item's member that the schema excludes",
      inside("{{event.body.items}}", "{{node.g.body.array_item.skuu}}"),
      `${noPayload} i transform.query`,
    ],
    ["a member of one object in place of a list", inside("{{event.body.meta}}", "{{node.g.body.array_item.any}}")],
    [
      "an item's member that only one object in place of the list could have",
      {
        nodes: [
          {
            id: "s",
            start: {
              api_call: {
                payload: { list: [{ sku: "A" }] },
                schema: { properties: { list: { items: { properties: { sku: {} }, additionalProperties: false } } } },
              },
            },
          },
          { id: "g", group: { array: "{{event.body.list}}" } },
          transform("i", "{{node.g.body.array_item.skuu}}", { group_id: "g" }),
        ],
        edges: ["s > g", "g each > i"],
      },
      `${notInSample} i transform.query`,
    ],
    [
      "what a Group gives inside",
      inside("{{event.body.items}}", "{{node.g.body.iteration_index}}"),
      `${noPayload} i transform.query`,
    ],
  ];
  describe("where a node's output is known to lack the path", () => {
    for (const [name, definition, ...warnings] of cases) {
      test(name, () => check(definition, { warnings }));
    }
  });

  test("what is compared is told, and whoever asks whether something is there is told of the schema alone", () => {
    const compare = (operator: string, panel: object) =>
      compile(
        [
          { id: "s", start: { api_call: panel } } as NodeJson,
          comparing({ left: "{{event.body.nmae}}", operator, ...(operator === "eq" && { right: "1" }) }),
        ],
        ["s > n"],
      ).warnings.map(({ reason, message }) => `${reason} ${/compared/.test(message)}`);
    expect(compare("eq", { payload: sample })).toEqual([`${notInSample} true`]);
    expect(compare("exist", { payload: sample })).toEqual([]);
    expect(compare("exist", { schema })).toEqual([`${noPayload} false`]);
    const field = { key: "tag", value: "{{event.body.tag}}" };
    const http = { method: "GET", url: "https://api.example/", query: [field], headers: [field] };
    const left = compile(
      [
        { id: "s", start: { api_call: { payload: sample } } },
        { id: "h", http },
      ],
      ["s > h"],
    );
    expect(left.warnings).toEqual([]);
  });

  test("a path that is read twice in one text is told once, with the names that there are", () => {
    const { warnings } = compile(
      [
        { id: "s", start: { api_call: { schema } } } as NodeJson,
        response("r", '"{{event.body.nmae}} {{event.body.nmae}}"'),
      ],
      ["s > r"],
    );
    expect(warnings.map(({ message }) => message)).toEqual([
      '"{{event.body.nmae}}" is always null: the schema refuses every payload that has it. Did you mean name? Known there: name, items, meta.',
    ]);
  });
});

test("what is wrong with a node that nothing leads to is a warning", () => {
  const leftOut = [
    transform("a", "1 +"),
    { id: "b" },
    group("g", { group_id: "g" }),
    response("r", "{{nope}}"),
    transform("t", "{{event.body.nmae}}"),
  ];
  check(
    {
      nodes: [{ id: "s", start: { api_call: { schema } } } as NodeJson, ...leftOut],
      edges: ["a other > b", "b > a", "r > nowhere", "r > s"],
    },
    {
      warnings: [
        "PORT_UNKNOWN - edges[0].port",
        "EDGE_NODE_UNKNOWN - edges[2].target",
        "START_HAS_INPUT - edges[3].target",
        "EXPRESSION_INVALID a transform.query",
        "NODE_UNREACHABLE a id",
        "NODE_KIND_MISSING b kind",
        "NODE_UNREACHABLE b id",
        "GROUP_CYCLIC g group_id",
        "NODE_UNREACHABLE g id",
        "TEMPLATE_UNKNOWN r response.data",
        "NODE_UNREACHABLE r id",
        "NODE_UNREACHABLE t id",
      ],
    },
  );
});

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
      ["gt", ""],
      ["lt", "2016-12-31T23:59:60Z"],
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
          transform("c", "$", { name: "calc(x)" }),
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

describe("a mistyped name is told with the nearest that there is", () => {
  const messageOf = (template: string) => {
    const nodes = [
      { id: "s", name: "Start", start: { api_call: { payload: sample } } },
      { id: "t", name: "Greeting", transform: { query: "{'text': 1}" } },
      { id: "h", name: "Call", http: { method: "GET", url: "https://a.example" } },
      response("r", `"{{${template}}}"`),
    ] as NodeJson[];
    const { errors, warnings } = compile(nodes, ["s > t", "t > h", "h > r"]);
    return [...errors, ...warnings].map(({ message }) => message).join("\n");
  };

  test.each([
    ["evnt.body.name", "Did you mean {{event.body.name}}?"],
    ["event.bdy.name", "Did you mean {{event.body.name}}?"],
    ["event.name", "Did you mean {{event.body.name}}?"],
    ["event", "Did you mean {{event.body}}?"],
    ["payload.name", "Did you mean {{event.body.name}}?"],
    ["Greeting.text", "Did you mean {{node.Greeting.body.text}}?"],
    ["nodes.Greeting.body.text", "Did you mean {{node.Greeting.body.text}}?"],
    ["node.Greeting.output.text", "Did you mean {{node.Greeting.body.text}}?"],
    ["node.Call.stauts", "Did you mean {{node.Call.status}}?"],
    ["workflow.field.region", "Did you mean {{workflow.fields.region}}?"],
    ["execution.uid", "Did you mean {{execution.id}}?"],
    ["node.Greting.body.text", "Did you mean Greeting?"],
    ["event.body.nmae", "Did you mean name"],
    ["node.Greeting.body.txet", "Did you mean text?"],
  ])("{{%s}}", (template, hint) => {
    expect(messageOf(template)).toContain(hint);
  });

  test.each(["secrets.key", "node.Greeting.error", "node.Greeting.status", "a.b"])(
    "{{%s}} is like none",
    (template) => {
      expect(messageOf(template)).not.toContain("Did you mean");
    },
  );

  test("so many names are guessed and no more, whatever a definition is made of", () => {
    const templates = Array.from({ length: 90 }, (_, index) => `{{node.star${index}.body}}`);
    const { errors } = compile([start, response("r", JSON.stringify(templates))], ["start > r"]);
    expect(errors).toHaveLength(90);
    expect(errors.filter(({ message }) => message.includes("Did you mean start?"))).toHaveLength(20);
  });
});

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type NodeJson, type RunOptions, run, start } from "./workflow.ts";

const hostile = [
  '"',
  '", "admin": true, "x": "',
  '" or true or "',
  "' & $eval('1') & '",
  "\\",
  '\\"',
  "\n\r\t\u2028",
  "{{event.body.secret}}",
  "}}",
  "*/ 1 /*",
  "`",
  "$secret",
  '"}]',
];

const options: RunOptions = {
  headers: { "x-trace": "t1" },
  values: {
    linkedAccount: { name: "Jane", udf: { plan: "pro" } },
    workflowFields: { "Due date (days)": 3 },
    applicationFields: { Region: "eu" },
  },
};

/** Expects what a Response's data gives for a payload. */
async function check(data: string, body: JsonObject, expected: JsonValue, notes?: readonly string[]): Promise<void> {
  const before: NodeJson = {
    id: "7",
    name: "Get user (v2)",
    transform: { query: '{"list": [{"a": 1}, null], "id": "u1"}' },
  };
  const named7: NodeJson = { id: "8", name: "7", transform: { query: '"not this one"' } };
  const answer: NodeJson = { id: "r", response: { data } };
  const edges = ["start > 7", "7 > 8", "8 > r"];
  const { response, records } = await run([start, before, named7, answer], edges, { ...options, body });
  expect(response).toEqual(expected);
  if (notes !== undefined) {
    expect(records.at(-1)?.notes).toEqual(notes.length === 0 ? undefined : notes);
  }
}

/** Expects what a query gives for a payload. */
async function checkQuery(query: string, body: JsonObject, expected: JsonValue): Promise<void> {
  const nodes = [start, { id: "t", transform: { query } }, { id: "r", response: { data: "{{node.t.body}}" } }];
  const { response, outcome } = await run(nodes, ["start > t", "t > r"], { ...options, body });
  expect(outcome.error).toBeUndefined();
  expect(response).toEqual(expected);
}

describe("a template reads the value that its path names", () => {
  const odd = {
    "user.name": "ada",
    "it's": { "}}": "quoted" },
    "[0]": "zeroth",
    "Price [EUR]": 7,
    "n * 2": 4,
  };
  const body = { a: { b: [10, { c: "deep" }] }, "Task Name": "Call (again)", empty: null, "0": "zero", ...odd };
  const cases: readonly (readonly [string, JsonValue, notes?: readonly string[]])[] = [
    ["{{event.body}}", body],
    ["{{event.body.a.b.0}}", 10],
    ["{{ event.body.a.b.1.c }}", "deep"],
    ["{{event.body.Task Name}}", "Call (again)"],
    ["{{event.body.0}}", "zero"],
    ["{{event.body.empty}}", null, []],
    ["{{event.headers.X-Trace}}", "t1"],
    ["{{node.7.body.id}}", "u1"],
    ["{{node.Get user (v2).body.list.0.a}}", 1],
    ["{{node.start.body.a.b.0}}", 10],
    ["{{workflow.fields.Due date (days)}}", 3],
    ["{{application.fields.Region}}", "eu"],
    ["{{linked_account.udf.plan}}", "pro"],
    ["{{execution.id}}", "0123456789abcdef01234567"],
    ["{{event.body.a.b[0]}}", 10],
    ["{{event.body.a.b[1].c}}", "deep"],
    ["{{event.body['a'].b[1]['c']}}", "deep"],
    ["{{event.body['user.name']}}", "ada"],
    ["{{event.body['it''s']['}}']}}", "quoted"],
    ["{{event.body['[0]']}}", "zeroth"],
    ["{{event.body.Price [EUR]}}", 7],
    ["{{event.body.a.b [0]}}", 10],
    ["{{event.body['n * 2']}}", 4],
    ["{{event.body['constructor']}}", null],
    ["{{event.body.nope}}", null, ['"{{event.body.nope}}" did not resolve.']],
    ["{{event.body.empty.x}}", null, ['"{{event.body.empty.x}}" did not resolve.']],
    ["{{event.body.a.b.2}}", null, ['"{{event.body.a.b.2}}" did not resolve.']],
    ["{{event.body.a.b.01}}", null],
    ["{{event.body.a.b.length}}", null],
    ["{{event.body.Task Name.0}}", null],
    ["{{event.body.__proto__}}", null],
    ["{{event.body.constructor.name}}", null],
    ["{{event.body.toString}}", null],
    ["{{event.headers.__proto__}}", null],
  ];
  for (const [data, expected, notes] of cases) {
    test(data, () => check(data, body, expected, notes));
  }

  test("a member that is named as one of every object's is read like any other", () =>
    check("{{event.body.__proto__.constructor}}", JSON.parse('{"__proto__": {"constructor": 1}}'), 1));
});

describe("JSON text keeps its structure around what templates read", () => {
  const body = { n: 5, t: 'say "hi"\n', o: { k: [true] }, z: null };
  const cases: readonly (readonly [string, JsonValue])[] = [
    ['{"a": "{{event.body.n}}"}', { a: 5 }],
    ['{"a": {{event.body.n}}}', { a: 5 }],
    ['{"a": {{event.body.o}}}', { a: { k: [true] } }],
    ['[{{event.body.n}}, "{{event.body.o}}"]', [5, { k: [true] }]],
    ['"{{event.body.t}}"', 'say "hi"\n'],
    ['"> {{event.body.t}} <"', '> say "hi"\n <'],
    ['" {{event.body.n}} "', " 5 "],
    ['"{{event.body.n}}{{event.body.z}}{{event.body.nope}}"', "5null"],
    ['"o: {{event.body.o}}"', 'o: {"k":[true]}'],
    ['{"a": "{{event.body.nope}}", "b": {{event.body.nope}}}', { a: null, b: null }],
    ['"\\u0041\\n{{event.body.n}}\\\\"', "A\n5\\"],
    [' { "a" : [ ] , "b" : { } , "c" : -1.5e2 } ', { a: [], b: {}, c: -150 }],
    ['{"__proto__": {{event.body.n}}}', JSON.parse('{"__proto__": 5}')],
    ['"{ {single} } }}"', "{ {single} } }}"],
    ['"{{event.body.\\u006e}}"', 5],
    ['"Hello {{{{first_name}}"', "Hello {{first_name}}"],
    ['"{{{event.body.n}}}"', "{5}"],
    ['"{{{{{{event.body.n}}}}"', "{{5}}"],
    ['"{{{{{{{event.body.n}}"', "{{{5"],
    ['"{{{{{{{{"', "{{{{"],
    ['"{{{{{"', "{{{"],
    ['{"{{{{a}}": {{event.body.n}}}', { "{{a}}": 5 }],
    ["\"<{{event.body['n']}}>\"", "<5>"],
  ];
  test.each(cases)("%s", (data, expected) => check(data, body, expected));

  test.each(hostile)("%j is only ever a value", async (x) => {
    const data = '{"whole": "{{event.body.x}}", "bare": {{event.body.x}}, "part": "<{{event.body.x}}>", "last": 1}';
    await check(data, { x }, { whole: x, bare: x, part: `<${x}>`, last: 1 });
  });

  test("whatever the data is, the structure stays", async () => {
    const data =
      '{"a": "{{event.body.x}}", "b": [{{event.body.x}}, "-{{event.body.x}}-"], "c": {"d": "{{event.body.x}}{{event.body.x}}"}}';
    // What a journal cannot keep is refused elsewhere.
    const storable = fc
      .jsonValue({ maxDepth: 3 })
      .filter((value) => !/\\u0000|\\ud[89a-f]/i.test(JSON.stringify(value)));
    await fc.assert(
      fc.asyncProperty(storable, async (value) => {
        // A payload is parsed from a text, which knows no -0.
        const x = JSON.parse(JSON.stringify(value)) as JsonValue;
        const text = typeof x === "string" ? x : JSON.stringify(x);
        await check(data, { x }, { a: x, b: [x, `-${text}-`], c: { d: text + text } });
      }),
      { numRuns: 200 },
    );
  });
});

describe("a query gets templates as variables", () => {
  const body = { n: 5, t: 'a"b', list: [{ v: 1 }, { v: 2 }], re: "b" };
  const cases: readonly (readonly [string, JsonValue])[] = [
    ["{{event.body.n}} + 1", 6],
    ["{{event.body.n}}+{{event.body.n}}", 10],
    ["{{event.body.list}}.v", [1, 2]],
    ["{{event.body.list}}[1].v", 2],
    ["$sum({{event.body.list}}.v)", 3],
    ['{"a": {{event.body.t}}, "b": {"c": {{event.body.n}}}}', { a: 'a"b', b: { c: 5 } }],
    ['"{{event.body.t}}"', 'a"b'],
    ['"{{event.body.n}}"', "5"],
    ["'<{{event.body.t}}|{{event.body.nope}}>'", '<a"b|>'],
    ['$uppercase("x{{event.body.t}}")', 'XA"B'],
    ['{"k{{event.body.n}}": 1}', { k5: 1 }],
    ['"\\"{{event.body.n}}\\""', '"5"'],
    ["/* {{event.body.n}} */ 1", 1],
    ['$replace("abc", /["/]b?|b/, "{{event.body.n}}")', "a5c"],
    ["n / {{event.body.n}}", 1],
    ["(n) / {{event.body.n}} / 1", 1],
    ['n in [{{event.body.n}}] and /b/("b").match = "{{event.body.re}}"', true],
    ["{{event.body.nope}}", null],
    ['"{{{{first_name}} is {{event.body.t}}"', '{{first_name}} is a"b'],
    ["'{{event.body['n']}}'", "5"],
    ["{{{event.body.t}}: 1}", { 'a"b': 1 }],
    ["($template := 1; $template0 := 2; $template + $template0 + {{event.body.n}})", 8],
    ["{{node.start.body.n}}", 5],
  ];
  test.each(cases)("%s", (query, expected) => checkQuery(query, body, expected));

  test.each(hostile)("%j cannot break out of a query", async (x) => {
    const query = `{"whole": {{event.body.x}}, "double": "<{{event.body.x}}>", 'single': '<{{event.body.x}}>', "last": 1}`;
    await checkQuery(query, { x, secret: "s" }, { whole: x, double: `<${x}>`, single: `<${x}>`, last: 1 });
  });

  test.each(["_jsonata_lambda", "_jsonata_function"])(
    "data that calls itself a function by %s is refused",
    async (name) => {
      const body = { f: { [name]: true, arguments: [], body: { type: "number", value: 42 } }, list: [] };
      const nodes = [start, { id: "t", transform: { query: "($g := f(?); $g(1))" } }];
      const { outcome } = await run(nodes, ["start > t"], { body });
      expect(outcome.error?.reason).toBe("EXPRESSION_ERROR");
      expect(outcome.error?.message).toContain("_jsonata_");
    },
  );
});

describe("what is not there is nothing in a query, and a null that is there is null", () => {
  const never = { comparisons: [{ left: "1", operator: "eq", right: "2" }] };
  const query = (template: string) =>
    `{"exists": $exists(${template}), "count": $count(${template}), "default": ${template} ?? "none", ` +
    `"text": "Hello " & ${template}, "list": $append(${template}, [1]), "merged": $merge([${template}, {"a": 1}]), ` +
    `"member": ${template}}`;
  const nothing = { exists: false, count: 0, default: "none", text: "Hello ", list: [1], merged: { a: 1 } };
  const skipped: NodeJson = { id: "s", settings: { conditions: never }, transform: { query: "{'b': 2}" } };
  const failed: NodeJson = { id: "f", settings: { skip_on_error: true }, transform: { query: "$error('no')" } };
  const nodes = [start, skipped, failed, { id: "late", transform: { query: "1" } }];
  const edges = ["start > s", "s > f", "f > t", "t > late", "t > r"];

  async function result(transform: object, body: JsonObject = {}): Promise<JsonValue | undefined> {
    const all = [
      ...nodes,
      { id: "t", transform: { ...transform } },
      { id: "r", response: { data: "{{node.t.body}}" } },
    ];
    const { response, outcome } = await run(all as NodeJson[], edges, { body });
    expect(outcome.error).toBeUndefined();
    return response;
  }

  test.each([
    "{{event.body.nope}}",
    "{{event.body.nope.deeper[0]}}",
    "{{node.s.body}}",
    "{{node.s.body.b}}",
    "{{node.f.body}}",
    "{{node.late.body}}",
  ])("%s is nothing", async (template) => {
    // A function of the query's own has the query run in a child process.
    for (const around of [query(template), `($f := function(){ ${query(template)} }; $f())`]) {
      expect(await result({ query: around })).toEqual(nothing);
    }
    expect(await result({ input: template, query: "{'exists': $exists($), 'default': $ ?? 'none'}" })).toEqual({
      exists: false,
      default: "none",
    });
  });

  test("a null of the payload stays null", async () => {
    const value = await result({ query: "[{{event.body.z}}, $exists({{event.body.z}})]" }, { z: null });
    expect(value).toEqual([null, true]);
    expect(await result({ query: "{'z': {{event.body.z}}}" }, { z: null })).toEqual({ z: null });
    expect(await result({ input: "{{event.body.z}}", query: "[$, $exists($)]" }, { z: null })).toEqual([null, true]);
  });
});

test("what a node answers is data for the nodes behind it, never a template or a query", async () => {
  const nodes = [
    start,
    { id: "a", transform: { query: '"{" & "{event.body.secret}}"' } },
    { id: "b", transform: { query: "{{node.a.body}}" } },
    { id: "r", response: { data: '["{{node.a.body}}", "{{node.b.body}}"]' } },
  ];
  const { response } = await run(nodes, ["start > a", "a > b", "b > r"], { body: { secret: "s" } });
  expect(response).toEqual(["{{event.body.secret}}", "{{event.body.secret}}"]);
});

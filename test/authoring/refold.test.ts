import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import { describe, expect, test } from "vitest";
import { importRefold } from "../../src/authoring/refold/import-refold.ts";
import { UnusableSource } from "../../src/authoring/refold/source-workflow.ts";
import { definitionText } from "../../src/domain/json/definition-text.ts";
import { defaultLimits } from "../../src/domain/limits.ts";
import { compileGraph } from "../../src/engine/compile/compile-graph.ts";
import { WorkflowDefinitionSchema } from "../../src/gen/flowcall/v1/definition_pb.ts";

const formats = ["export-file", "document-dump", "draft", "old-format"] as const;
const validator = createValidator();

function fixture(name: (typeof formats)[number]): JsonObject {
  return JSON.parse(readFileSync(join(import.meta.dirname, `refold/${name}.json`), "utf8"));
}

/** A workflow of a Start node and these nodes, one behind the other. */
function workflow(nodes: readonly JsonObject[], rest: JsonObject = {}): JsonObject {
  const all = [{ id: "1", name: "Start", type: "start", input_data: {} }, ...nodes];
  const edges = all.slice(1).map(({ id }, index) => ({ source: all[index]?.id ?? "", target: id ?? "" }));
  return { name: "Made", slug: "made", nodes: all, edges, ...rest };
}

function imported(source: JsonValue) {
  const result = importRefold(source);
  const { errors } = compileGraph(result.definition, defaultLimits);
  const { nodes = [], edges, fields } = Object(toJson(WorkflowDefinitionSchema, result.definition));
  const node = (id: string) => nodes.find((one: JsonObject) => one["id"] === id);
  const codes = (id?: string) => result.issues.filter(({ nodeId }) => nodeId === id).map(({ code }) => code);
  return { ...result, errors, edges, fields, node, codes };
}

/** The kind of the one node behind the Start node. */
function kindOf(node: JsonObject, rest: JsonObject = {}) {
  const { node: find, codes, errors } = imported(workflow([{ id: "2", name: "Two", ...node }], rest));
  return { ...find("2"), issues: codes("2"), errors };
}

function refusalOf(source: JsonValue) {
  try {
    importRefold(source);
    return [];
  } catch (error) {
    if (error instanceof UnusableSource) {
      return error.violations.map(({ field, description }) => `${field} ${description}`);
    }
    throw error;
  }
}

describe.each(formats)("the format %s", (name) => {
  test("becomes a definition that can be published, and the same each time", () => {
    const { definition, errors, issues } = imported(fixture(name));
    expect(errors).toEqual([]);
    expect(validator.validate(WorkflowDefinitionSchema, definition).kind).toBe("valid");
    const other = importRefold(fixture(name));
    expect(definitionText(other.definition)).toBe(definitionText(definition));
    expect(JSON.stringify(other.issues)).toBe(JSON.stringify(issues));
  });
});

describe("an export file", () => {
  const { node, codes, edges, integrations, functions, fields, config } = imported(fixture("export-file"));

  test("declares what customers configure, and samples the event", () => {
    expect(fields).toEqual([
      { name: "On reply", type: "STRING" },
      { name: "On click", type: "STRING" },
      { name: "Select Pipeline (Applicable for Deals)", type: "STRING" },
      { name: "Due In", type: "NUMBER" },
      { name: "Deal title", type: "STRING", required: true },
      { name: "pipebase base URL", type: "STRING" },
    ]);
    expect(Object(node("3f0e6a8c-6f2d-4a53-9d0f-2b7a8a1c0001")).start.api_call.payload).toEqual({
      prospect: { "6753": "", email: "", first_name: "", last_name: "", tag: [] },
      sequence: { containsLink: false, emailBody: "" },
      unknown: { path: "" },
    });
    expect(config).toMatchObject({ application_fields: { "Contact Fields": null } });
  });

  test("has its requests, with the parameters that counted and without what was empty", () => {
    expect(node("3").http).toEqual({
      method: "GET",
      url: "{{workflow.fields.pipebase base URL}}/v1/persons/search",
      query: [
        { key: "term", value: "{{event.body.prospect.email}}" },
        { key: "fields", value: '["email"]' },
        { key: "exact_match", value: "true" },
      ],
    });
    expect(codes("3")).toEqual(["BASE_URL_NEEDED", "CONNECTION_NEEDED"]);
  });

  test("has JSON inputs as values, results where they are read, and numbers where text of one was pasted", () => {
    expect(node("4").transform.query).toBe(
      '({"found": {{node.3.body.data.items}}}).({"person_id" : found.item[emails[$contains("{{event.body.prospect.email}}")]].id})',
    );
    expect(node("8").transform.query).toMatch(/^\(\$r := \(\{"due_date".*\$number\(\$t\) : \$t\)\* 24 \* 60/);
    expect(node("8").settings.conditions.comparisons).toEqual([
      { left: "{{workflow.fields.Due In}}", operator: "exist" },
    ]);
    expect(node("9").transform.query).toContain("($t := {{node.8.body.result}}; $t = null ? () : $t)])");
  });

  test("infers the sides of a rule from its lists, and keeps what is parked and read as null", () => {
    expect(edges).toContainEqual({ source: "5", target: "6", port: "true" });
    expect(edges).toContainEqual({ source: "5", target: "7", port: "false" });
    expect([node("14").transform, node("77").transform]).toEqual([{ query: "null" }, { query: "null" }]);
    expect(codes("15")).toEqual(["REFERENCE_NEVER_SET", "REFERENCE_NEVER_SET"]);
    expect(codes("5")).toEqual(["HANDLE_INFERRED", "HANDLE_INFERRED"]);
    expect(codes("16")).toEqual(["NODE_NOT_CONFIGURED"]);
  });

  test("lists the operations and functions that it needs, with what they are given and what is read of them", () => {
    expect(integrations).toEqual([
      {
        slug: "pipebase",
        nodeIds: ["3", "6", "7", "10"],
        fields: ["Contact Fields"],
        baseUrls: [],
        actions: [
          {
            operation: "create_person",
            nodeIds: ["7"],
            parameters: ["additional_fields", "associations", "email", "name"],
            outputPaths: [],
          },
        ],
      },
    ]);
    expect(functions).toEqual([
      { name: "Mapping Function", nodeIds: ["13"], parameters: ["fields", "prospect"], outputPaths: [] },
    ]);
    // What was not given is left out: an update would erase it.
    expect(node("7").code.parameters.map(({ key }: JsonObject) => key)).not.toContain("owner");
    expect(node("7").code.parameters).toContainEqual({
      key: "associations",
      value: '[{"id":"{{node.4.body.person_id}}","type":"deal"}]',
    });
  });
});

describe("the other formats", () => {
  test("a document dump has no declared fields: what is read is declared, and a secret is not kept", () => {
    const source = fixture("document-dump");
    const { node, fields, codes, integrations, issues } = imported(source);
    expect(fields).toEqual([
      { name: "Authorization of node 4", type: "STRING" },
      { name: "Owner" },
      { name: "Region" },
    ]);
    expect(node("4").http.headers).toEqual([
      { key: "Authorization", value: "{{workflow.fields.Authorization of node 4}}" },
      { key: "X-Trace", value: "{{event.body.prospect.id}}" },
    ]);
    expect(JSON.stringify(issues)).not.toContain("literal-secret-value");
    expect(codes("4")).toContain("SECRET_IN_DEFINITION");
    expect(codes("5")).toEqual(["HANDLE_GUESSED"]);
    expect(node("8").rule.comparisons).toEqual([
      { left: "{{workflow.fields.Owner}}", operator: "is_null" },
      { left: "{{workflow.fields.Owner}}", operator: "is_null" },
      { left: "1", operator: "eq", right: "0" },
    ]);
    expect(integrations.map(({ slug, actions }) => [slug, ...actions.map(({ outputPaths }) => outputPaths)])).toEqual([
      ["hubbase", ["id"]],
      ["own-app", ["payload"]],
    ]);
  });

  test("a draft has kinds of which no export is known: they say so", () => {
    const { node, edges, codes } = imported(fixture("draft"));
    expect(node("2").group).toEqual({ array: "{{event.body.orders}}", concurrency: 5, output: "{{node.3.body}}" });
    expect(node("3")).toMatchObject({ group_id: "2", transform: { input: "{{node.2.body.array_item}}" } });
    expect(edges).toContainEqual({ source: "2", target: "3", port: "each" });
    expect(node("4").http).toMatchObject({
      query: [
        { key: "a", value: "1" },
        { key: "b", value: " x" },
      ],
    });
    expect(codes("7")).toEqual(["SHAPE_NOT_VERIFIED"]);
    expect(codes()).toContain("TIMEOUT_NOT_IMPORTED");
    expect(codes("1")).toEqual([]);
  });

  test("the old format has fields by id, paths behind colons, and trees in place of texts", () => {
    const { node, edges, description } = imported(fixture("old-format"));
    expect(node("2").rule.comparisons).toEqual([
      { left: "{{workflow.fields.Copy rows?}}", operator: "eq", right: "yes" },
    ]);
    expect(node("3").http.url).toBe("https://sheets.example.com/rows/{{event.body.row.id}}");
    expect(node("5").code.parameters).toEqual([
      { key: "row", value: "{{node.3.body.data.0}}" },
      { key: "plain", value: "x" },
    ]);
    expect(node("6").code.parameters[0]).toEqual({
      key: "title",
      value: "Hello {{node.5.body.contact_name}}\nsecond line",
    });
    expect(edges).toContainEqual({ source: "2", target: "4", port: "false" });
    expect(description).toBe("Once");
  });
});

describe("templates", () => {
  const rewritten = (template: string) => {
    const { transform, issues } = kindOf({ type: "transform", input_data: { query: "1", input: `{{${template}}}` } });
    return [transform.input.slice(2, -2), ...issues];
  };

  test.each([
    [" event.body.a b (c).0 ", "event.body.a b (c).0"],
    ["start.body.a", "event.body.a"],
    ["event.headers.x-id", "event.headers.x-id"],
    ["event.payload.x", "event.body.payload.x", "REFERENCE_UNKNOWN"],
    ["node.Start.body.a", "node.1.body.a"],
    ["Start.body.a", "node.1.body.a"],
    ["node.1.response:a.0", "node.1.body.a.0"],
    ["node.9.body.x", "node.9.body.x", "REFERENCE_NEVER_SET"],
    ["workflow.fields.Due (days)", "workflow.fields.Due (days)"],
    ["workflow.fields.a.b", "workflow.fields.a_b", "FIELD_RENAMED"],
    ["workflow.fields.List [0]", "workflow.fields['List [0]']"],
    ["dataslot.Owner", "workflow.fields.Owner"],
    ["linked_account.udf.region", "linked_account.udf.region"],
    [
      "linked_account.auth_credentials.token",
      "workflow.fields.linked_account_auth_credentials_token",
      "CREDENTIAL_IN_TEMPLATE",
    ],
    ["instance_meta_data.instance_id", "execution.id"],
    ["env.workflow.KEY", "workflow.fields.env_workflow_KEY", "VARIABLE_NEEDED"],
    ["64f0000000000000000000aa", "workflow.fields.64f0000000000000000000aa", "REFERENCE_UNKNOWN"],
    ["array_item.x", "workflow.fields.array_item_x", "REFERENCE_UNKNOWN"],
    ["what is this?", "workflow.fields.what is this?", "REFERENCE_UNKNOWN"],
    ["a['b", "workflow.fields.a['b", "REFERENCE_UNKNOWN"],
  ])("{{%s}} is {{%s}}", (template, ...expected) => {
    const [name = "", ...issues] = expected;
    const written = template === "a['b" ? "workflow.fields['a[''b']" : name;
    expect(rewritten(template)).toEqual([written, ...issues]);
  });

  test("braces without an end, and none inside, are literal or left out", () => {
    const { code, issues, errors } = kindOf({
      type: "codeexecutornode",
      input_data: {
        code_string: "function yourFunction(p) { return p; }",
        input_parameters: [
          { key: "a", value: "x {{ event.body.a" },
          { key: "b", value: "{{}}y" },
          { key: "a", value: "twice" },
        ],
      },
    });
    expect(code.parameters).toEqual([
      { key: "a", value: "twice" },
      { key: "b", value: "y" },
    ]);
    expect(issues).toEqual(["PARAMETER_DROPPED", "TEMPLATE_UNCLOSED"]);
    expect(errors).toEqual([]);
  });

  test("a body that is no JSON, whatever its templates give, is sent as text", () => {
    const input_data = { method: "POST", base_url: "https://a.example.com", body: '{"a": {{event.body.a}' };
    expect(kindOf({ type: "httpinternal", input_data })).toMatchObject({ http: { text: '{"a": {{{{event.body.a}' } });
  });
});

describe("what is not imported", () => {
  test.each<readonly [string, JsonObject, readonly string[]]>([
    [
      "Python",
      { type: "codeexecutornode", input_data: { code_string: "def f(): 1", code_language: "python" } },
      ["LANGUAGE_UNSUPPORTED"],
    ],
    [
      "pages",
      { type: "httpinternal", input_data: { base_url: "https://a.example.com", pagination: [{ type: "page" }] } },
      ["PAGINATION_NOT_IMPORTED"],
    ],
    ["a kind that there is none of", { type: "tables", action: "search", input_data: { a: 1 } }, ["KIND_UNKNOWN"]],
    ["a node without anything", { type: "slack", input_data: {} }, ["NODE_NOT_CONFIGURED"]],
    ["a rule of nothing", { type: "rule", input_data: {} }, ["RULE_EMPTY"]],
  ])("%s is an issue, and the definition compiles", (_, node, issues) => {
    expect(kindOf(node)).toMatchObject({ issues, errors: [] });
  });
});

describe("an export without a graph is refused, with all that is wrong", () => {
  const start = { id: "1", type: "start" };
  test.each<readonly [string, JsonValue, readonly RegExp[]]>([
    ["no object", [1], [/^source must be/]],
    ["no nodes", {}, [/^nodes must be a list/]],
    ["nodes of another kind", { nodes: "x", edges: 1 }, [/^nodes must be/, /^edges must be/]],
    [
      "no Start node, and nodes without an id",
      { nodes: [{}, 1] },
      [/nodes\[0\].id is missing/, /nodes\[0\].type/, /nodes\[1\] must/, /type/, /0 Start/],
    ],
    ["two Start nodes of one id", { nodes: [start, start] }, [/nodes\[1\].id is "1"/, /2 Start/]],
    [
      "edges to nowhere",
      { nodes: [start], edges: [{ source: "1", target: "2" }, 5] },
      [/edges\[0\].target is "2"/, /edges\[1\].source/, /edges\[1\].target/],
    ],
    [
      "a circle",
      workflow(
        [
          { id: "2", type: "rule" },
          { id: "3", type: "rule" },
        ],
        {
          edges: [
            { source: "1", target: "2" },
            { source: "2", target: "3" },
            { source: "3", target: "2" },
          ],
        },
      ),
      [/leads in a circle: "2", "3"/],
    ],
    ["a node inside of itself", workflow([{ id: "2", type: "group", parentNode: "2" }]), [/inside of each other: "2"/]],
    [
      "more nodes than a workflow has",
      workflow(Array.from({ length: 501 }, (_, id) => ({ id: `n${id}`, type: "rule" }))),
      [/nodes has 502 items/],
    ],
  ])("%s", (_, source, expected) => {
    const violations = refusalOf(source);
    expect(violations).toHaveLength(expected.length);
    for (const [index, pattern] of expected.entries()) {
      expect(violations[index]).toMatch(pattern);
    }
  });
});

test("texts that are made to be slow are read in a time that grows with their length", () => {
  const long = 200_000;
  for (const text of ["{{ ".repeat(long), `${"/".repeat(long)}a`, `{${": {{".repeat(long)}`, "a=1&".repeat(long)]) {
    const input_data = { base_url: text, headers: text, query_string: text };
    expect(kindOf({ type: "httpinternal", input_data }).http.method).toBe("GET");
  }
  const nodes = [{ id: "2", type: "transform", input_data: { query: "{{event.body.a}}".repeat(10_001) } }];
  expect(refusalOf(workflow(nodes))).toEqual([expect.stringContaining("more than 10000 templates")]);
});

/** A seeded generator, so that a failure can be repeated (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const strange: readonly JsonValue[] = [
  null,
  true,
  0,
  -1.5,
  1e300,
  "",
  "{{",
  "}}",
  "{{}}",
  "{{{{x}}}}",
  "{{node.1.body",
  "{{node..body}}",
  "__proto__",
  "x".repeat(300),
  [],
  {},
  [[]],
  [{}],
  [{ text: 1 }],
  [{ children: "x" }],
  [{ type: "p", children: [{ text: "{{node." }, { text: "2.body}}" }] }],
  { "": "" },
  { __proto__: 1 },
  ["{{event.body.a}}"],
  { a: { b: { c: [] } } },
];

function places(value: JsonValue, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  const inner = Array.isArray(value)
    ? value.flatMap((item, index) => places(item, [...path, index]))
    : typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([name, member]) => places(member, [...path, name]))
      : [];
  return [path, ...inner];
}

/** FUZZ_ROUNDS looks longer. */
const rounds = Number(process.env["FUZZ_ROUNDS"] ?? 300);

function resultOf(source: JsonValue) {
  try {
    return importRefold(source);
  } catch (error) {
    if (error instanceof UnusableSource) {
      return undefined;
    }
    throw error;
  }
}

test("values of every type in every wrong place are refused by name, or imported into what can be kept and checked", () => {
  const random = randomOf(7);
  const sources = formats
    .map((name) => fixture(name))
    .map((source) => ({ text: JSON.stringify(source), all: places(source).slice(1) }));
  const counts = { refused: 0, imported: 0 };
  for (let round = 0; round < rounds; round += 1) {
    const { text, all } = sources[round % sources.length] ?? { text: "", all: [] };
    const source = JSON.parse(text);
    for (let change = 0; change <= random(3); change += 1) {
      const path = all[random(all.length)] ?? [];
      const holder = path.slice(0, -1).reduce((outer, part) => Object(outer)[part], source);
      Object(holder)[path.at(-1) ?? ""] = structuredClone(strange[random(strange.length)]);
    }
    const result = resultOf(source);
    counts[result === undefined ? "refused" : "imported"] += 1;
    if (result !== undefined) {
      const { definition, issues } = result;
      const checked = validator.validate(WorkflowDefinitionSchema, definition);
      expect([checked.kind, checked.error?.message]).toEqual(["valid", undefined]);
      // A check of it must end, whatever it finds.
      if (round % 20 === 0) {
        compileGraph(definition, defaultLimits);
      }
      expect(issues.filter(({ code }) => !/^[A-Z_]+$/.test(code))).toEqual([]);
      definitionText(definition);
    }
  }
  expect(counts.imported).toBeGreaterThan(rounds / 3);
  expect(counts.refused).toBeGreaterThan(rounds / 40);
});

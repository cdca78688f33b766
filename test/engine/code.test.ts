import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test, vi } from "vitest";
import { type Case, checkProblems, only, response } from "./definitions.ts";
import { type NodeJson, type RunOptions, run, start } from "./workflow.ts";

// The first script of a set of limits starts its process, which takes seconds on a machine that is busy with much else.
vi.setConfig({ testTimeout: 120_000 });

const script = (code: string, more: JsonObject = {}, settings?: JsonObject): NodeJson => ({
  id: "c",
  code: { parameters: [{ key: "body", value: "{{event.body}}" }], code, ...more },
  ...(settings && { settings }),
});

/** Runs a script whose function has this body, and whose parameter is the event's. */
function runScript(code: string, options: RunOptions = {}, settings?: JsonObject) {
  const whole = code.includes("yourFunction") ? code : `function yourFunction({ body }) { ${code} }`;
  return run([start, script(whole, {}, settings), response("r", "{{node.c.body}}")], ["start > c", "c > r"], options);
}

async function check(code: string, value: JsonValue, body: JsonObject = {}): Promise<void> {
  const { outcome, response: answer } = await runScript(code, { body });
  expect(outcome.error).toBeUndefined();
  expect(answer).toEqual(value);
}

async function checkFailure(code: string, reason: string, message: string | RegExp, settings?: JsonObject) {
  const { outcome, records } = await runScript(code, { body: { a: null } }, settings);
  const error = {
    reason,
    message: typeof message === "string" ? message : expect.stringMatching(message),
    node_id: "c",
  };
  expect(outcome).toMatchObject({ state: "ERRORED", error });
  return records.at(-1);
}

describe("a script gives what JSON can hold", () => {
  test.each<[string, JsonValue]>([
    ["return body.list.map((n) => n * 2)", [2, 4]],
    ["return undefined", null],
    ["", null],
    ["return NaN", null],
    ["return { d: new Date(0), u: undefined, n: null, i: -0 }", { d: "1970-01-01T00:00:00.000Z", n: null, i: 0 }],
    ["const yourFunction = async ({ body }) => { await null; return (await Promise.all(body.list)).length; };", 2],
    ["yourFunction = ({ body }) => ({ then: (ok) => ok(body.list[0]) });", 1],
    [
      "let n = 0; function* g() { yield* [1, 2]; } function yourFunction() { for (const x of g()) n += x; return n; }",
      3,
    ],
    ["return Object.groupBy ? [1, 2, 3].toSorted((a, b) => b - a).at(0) : null", 3],
    ["return body.missing ?? 'none'", "none"],
    ["return JSON.parse(JSON.stringify('x'.repeat(1000))).length", 1000],
  ])("%s", (code, value) => check(code, value, { list: [1, 2] }));

  test("parameters keep their types, and one that does not resolve is null", async () => {
    const parameters = [
      { key: "n", value: "{{event.body.n}}" },
      { key: "text", value: "n is {{event.body.n}}" },
      { key: "none", value: "{{event.body.none}}" },
      { key: "__proto__", value: "{{event.body.n}}" },
    ];
    const code = "function yourFunction(params) { return [params, Object.keys(params), params.none === null]; }";
    const nodes = [start, script(code, { parameters }), response("r", "{{node.c.body}}")];
    const { outcome } = await run(nodes, ["start > c", "c > r"], { body: { n: 5 } });
    expect(outcome.response).toBe(
      '[{"n":5,"text":"n is 5","none":null,"__proto__":5},["n","text","none","__proto__"],true]',
    );
  });
});

describe("a script has the globals of the documents, and no others", () => {
  test.each<[string, JsonValue]>([
    ["return structuredClone({ a: [1, { b: new Date(5) }], m: new Map([[1, 2]]) }).a[1].b.getTime()", 5],
    ["return [atob('YQ=='), btoa('a'), sha256('a').slice(0, 8)]", ["a", "YQ==", "ca978112"]],
    ["return new TextDecoder().decode(new TextEncoder().encode('ä€😀'))", "ä€😀"],
    [
      "const u = new URL('/x?a=1#h', 'https://e.com:8080'); u.searchParams.append('b', 'ä'); u.hash = ''; return [u.href, u.port, u.origin]",
      ["https://e.com:8080/x?a=1&b=%C3%A4", "8080", "https://e.com:8080"],
    ],
    [
      "const p = new URLSearchParams({ a: 1 }); p.set('a', 2); return [p.toString(), [...p], p.get('x')]",
      ["a=2", [["a", "2"]], null],
    ],
    ["return URL.canParse('nothing')", false],
    ["return new Date(2020, 0, 1).toISOString()", "2020-01-01T00:00:00.000Z"],
    [
      "return ['setTimeout', 'fetch', 'process', 'performance', 'navigator', 'std', 'os', 'Worker', 'global'].filter((n) => n in globalThis)",
      [],
    ],
    [
      "return [eval, Function, (async () => {}).constructor, (function* () {}).constructor].map((f) => { try { f('1'); return 'ran'; } catch (e) { return e.name; } })",
      ["EvalError", "EvalError", "EvalError", "EvalError"],
    ],
    ["return (() => {}) instanceof Function", true],
  ])("%s", (code, value) => check(code, value));

  test("its clock stands still, and its random numbers are the same again and other ones at another node", async () => {
    const code =
      "const [a, b] = [Date.now(), new Date()]; return [a, b.getTime(), Math.random(), Math.random(), crypto.randomUUID()];";
    const first = await runScript(code);
    expect(first.response).toEqual((await runScript(code)).response);
    const [now, date, one, two, uuid] = first.response as [number, number, number, number, string];
    expect(now).toBe(first.records.find(({ path }) => path === "c")?.start_time);
    expect(date).toBe(now);
    expect(one).not.toBe(two);
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test("its console is in the record, within its limits, also where it fails", async () => {
    const { records } = await runScript(
      "console.log('a', 1, { b: [2] }, null, undefined); console.warn(new TypeError('x')); console.error('e'); console.debug('d')",
    );
    expect(records[1]?.console).toEqual([
      { level: "INFO", text: 'a 1 {"b":[2]} null undefined' },
      { level: "WARNING", text: "TypeError: x" },
      { level: "ERROR", text: "e" },
      { level: "DEBUG", text: "d" },
    ]);
    const failed = await checkFailure("console.log('before'); throw new Error('no')", "CODE_ERROR", /^no/);
    expect(failed?.console).toEqual([{ level: "INFO", text: "before" }]);
    const many = await runScript("for (let i = 0; i < 1e5; i += 1) console.log(i)");
    expect(many.records[1]?.console).toHaveLength(201);
    expect(many.records[1]?.console?.at(-1)?.text).toBe("99800 more");
    const long = await runScript("console.log('x'.repeat(1e6)); console.log('y')");
    expect(long.records[1]?.console?.map(({ text }) => text.length)).toEqual([16_384, 6]);
    const hidden = await runScript("console.log('secret')", {}, { hide_node_request: true });
    expect(hidden.records[1]?.console).toBeUndefined();
  });
});

describe("a script that fails says where", () => {
  test.each<[string, string, string | RegExp]>([
    ["function yourFunction({ body }) {\n  return body.a.b;\n}", "CODE_ERROR", /null.*\(line 2, column \d+\)$/],
    ["throw new Error('two\\nlines')", "CODE_ERROR", /^two\nlines \(line 1, column \d+\)$/],
    ["throw 'text'", "CODE_ERROR", "text"],
    ["throw { code: 5 }", "CODE_ERROR", '{"code":5}'],
    ["throw null", "CODE_ERROR", "null"],
    ["return Promise.reject(new RangeError('later'))", "CODE_ERROR", /^later/],
    ["return new Promise(() => {})", "CODE_ERROR", "The promise never settles: nothing is left that could."],
    ["return 1n", "OUTPUT_INVALID", /nothing that JSON can hold/],
    ["const a = {}; a.a = a; return a", "OUTPUT_INVALID", /nothing that JSON can hold/],
    ["return { get a() { throw new Error('getter'); } }", "OUTPUT_INVALID", /getter/],
    ["return { toJSON() { for (;;); } }", "NODE_TIMED_OUT", /took longer than 500 ms/],
    ["const r = require; r('axios')", "CODE_MODULE_UNKNOWN", /axios/],
    ["if (1) { delete globalThis.x; } throw Object.assign(new Error(''), { name: 'Own' })", "CODE_ERROR", /^Own/],
    ["var yourFunction; yourFunction = 5;", "CODE_FUNCTION_MISSING", /yourFunction/],
    ["return 'x'.repeat(2e6)", "OUTPUT_TOO_LARGE", /bytes/],
    ["return '\\u0000'", "OUTPUT_INVALID", /./],
  ])("%s", async (code, reason, message) => {
    await checkFailure(code, reason, message, reason === "NODE_TIMED_OUT" ? { timeout_ms: 500 } : {});
  });
});

describe("a hostile script fails alone", () => {
  test.each<[string, string, RegExp]>([
    ["an endless loop", "for (;;);", /NODE_TIMED_OUT/],
    ["an endless loop in a promise", "return Promise.resolve().then(() => { while (1); })", /NODE_TIMED_OUT/],
    [
      "endless promises",
      "const f = () => Promise.resolve().then(f); return f()",
      /NODE_TIMED_OUT|CODE_ERROR|CODE_OUT_OF_MEMORY/,
    ],
    ["a caught endless loop", "for (;;) { try { for (;;); } catch {} finally { for (;;); } }", /NODE_TIMED_OUT/],
    ["an allocation bomb", "const a = []; for (;;) a.push(new Uint8Array(1e6))", /CODE_OUT_OF_MEMORY|NODE_TIMED_OUT/],
    ["a long text", "return 'x'.repeat(5e8)", /CODE_OUT_OF_MEMORY/],
    ["a doubled text", "let s = 'ab'; for (;;) s += s", /CODE_ERROR|CODE_OUT_OF_MEMORY|NODE_TIMED_OUT/],
    ["deep recursion", "const f = (n) => f(n + 1) + 1; return f(0)", /CODE_ERROR/],
    ["deep JSON", "return JSON.parse('['.repeat(1e6))", /CODE_ERROR/],
    [
      "a deep result",
      "let a = []; for (let i = 0; i < 1e5; i += 1) a = [a]; return a",
      /CODE_ERROR|OUTPUT_INVALID|OUTPUT_TOO_LARGE|NODE_TIMED_OUT/,
    ],
    ["a bad regular expression", "return /^(a+)+$/.test('a'.repeat(40) + 'b')", /NODE_TIMED_OUT/],
    [
      "replaced intrinsics",
      "JSON.stringify = () => { throw 1; }; Array.prototype.map = null; Promise.prototype.then = null; Object.prototype.kind = 'x'; throw new Error('own')",
      /CODE_ERROR/,
    ],
    [
      "an error that throws when it is read",
      "throw { get message() { throw 1; }, get name() { for (;;); } }",
      /NODE_TIMED_OUT|CODE_ERROR/,
    ],
    ["import()", "const yourFunction = () => (async () => {}).constructor('return im' + 'port(0)')()", /CODE_ERROR/],
  ])("%s", async (_, code, reason) => {
    const { outcome } = await runScript(code, {}, { timeout_ms: 1_000 });
    expect(outcome.error?.reason).toMatch(reason);
    // What comes next in the same environment finds nothing of it.
    await check("return [{}.kind ?? null, typeof Array.prototype.map, JSON.stringify([1])]", [null, "function", "[1]"]);
  });

  test("10⁶ lines on the console", async () => {
    const { records } = await runScript(
      "for (let i = 0; i < 1e6; i += 1) console.log('line')",
      {},
      { timeout_ms: 30_000 },
    );
    expect(records[1]?.console?.at(-1)?.text).toBe("999800 more");
  });
});

test("a replay does not run a script again, and one that has to run gives the same", async () => {
  const nodes = [start, script("function yourFunction() { return Math.random(); }"), response("r", "{{node.c.body}}")];
  const whole = await run(nodes, ["start > c", "c > r"]);
  for (let kept = 0; kept <= whole.records.length; kept += 1) {
    const again = await run(nodes, ["start > c", "c > r"], { earlier: whole.records.slice(0, kept) });
    expect(again.outcome).toEqual(whole.outcome);
  }
});

describe("code that cannot run is refused", () => {
  const at = "c code.code";
  const fine = "function yourFunction() {}";
  const cases: readonly Case[] = [
    ["no code", only(script("")), `CODE_FUNCTION_MISSING ${at}`],
    ["another function", only(script("function mine() {}")), `CODE_FUNCTION_MISSING ${at}`],
    [
      "a function inside of another",
      only(script("function a() { function yourFunction() {} }")),
      `CODE_FUNCTION_MISSING ${at}`,
    ],
    [
      "a function in a comment",
      only(script("// function yourFunction() {}\n/* yourFunction = 1 */ 'yourFunction('")),
      `CODE_FUNCTION_MISSING ${at}`,
    ],
    ["a syntax error", only(script("function yourFunction() {\n  return 1 +;\n}")), `CODE_SYNTAX ${at}`],
    ["a text without its end", only(script("function yourFunction() { return 'a")), `CODE_SYNTAX ${at}`],
    // biome-ignore-start lint/suspicious/noTemplateCurlyInString: the scripts have templates
    ...[
      "const axios = require('axios');",
      "import axios from 'axios';",
      "const a = import('axios');",
      "const a = `${1}`, b = /['\"]/; require(a);",
    ].map((text) => [text, only(script(`${text} ${fine}`)), `CODE_MODULE_UNKNOWN ${at}`] as const),
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: above
    ["Python", only(script(fine, { language: "LANGUAGE_UNSPECIFIED" })), "LANGUAGE_UNSUPPORTED c code.language"],
    [
      "two parameters of one name",
      only(script(fine, { parameters: [{ key: "a" }, { key: "a" }] })),
      "PARAMETER_DUPLICATE c code.parameters[1].key",
    ],
    [
      "a parameter without a name",
      only(script(fine, { parameters: [{ value: "1" }] })),
      "PARAMETER_INVALID c code.parameters[0].key",
    ],
    [
      "an unknown node",
      only(script(fine, { parameters: [{ key: "a", value: "{{node.x.body}}" }] })),
      "TEMPLATE_NODE_UNKNOWN c code.parameters[0].value",
    ],
    ["a long time-out", only(script(fine, {}, { timeout_ms: 60_001 })), "TIMEOUT_INVALID c settings.timeout_ms"],
    ["much code", only(script(`${fine}//${"x".repeat(65_536)}`)), `DEFINITION_TOO_LARGE ${at}`],
  ];
  test.each(cases.map(([name, definition, ...errors]) => ({ name, definition, errors })))(
    "$name",
    ({ definition, errors }) => checkProblems(definition, { errors }),
  );

  // biome-ignore-start lint/suspicious/noTemplateCurlyInString: the scripts have templates
  test.each([
    "const yourFunction = () => { const a = { import: 1, require: 2 }; return a.import / a.require / 2; }",
    "var yourFunction; yourFunction = function (x) { return x.require('a') ?? /require('x')/.source; }",
    "async function yourFunction() { return `import 'x' ${require.name}`; } // require('y')",
    "function* gen() {}\nlet yourFunction = async (p) => 'require(\"z\")' + `\\`import ${'a' + `${1}`} b`",
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: above
  ])("%s is fine", (code) => checkProblems(only(script(code)), {}));

  test("a retry policy has no effect", () =>
    checkProblems(only(script(fine, {}, { retry: { max_attempts: 3, delay_ms: 1 } })), {
      warnings: ["SETTING_IGNORED c settings"],
    }));
});

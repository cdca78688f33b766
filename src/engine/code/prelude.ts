/**
 * The script that an engine runs once, before any author's. It makes the clock stand still and the random numbers repeatable, and
 * adds the globals that QuickJS lacks. They are pure: `host` takes texts and gives a text. Its value is an object by which
 * the service calls the author's function. It keeps the functions that it needs, so that a script that replaces them
 * deceives itself alone.
 */
export const prelude = `(function (host, consoleMax) {
"use strict";
const { parse, stringify } = JSON;
const G = globalThis;
const define = (name, value) => Object.defineProperty(G, name, { value, writable: true, configurable: true, enumerable: false });

// sfc32 of PractRand, seeded by the service.
let a, b, c, counter;
const random = () => {
  const sum = (((a + b) | 0) + counter) | 0;
  counter = (counter + 1) | 0;
  a = b ^ (b >>> 9);
  b = (c + (c << 3)) | 0;
  c = (((c << 21) | (c >>> 11)) + sum) | 0;
  return (sum >>> 0) / 4294967296;
};
Object.defineProperty(Math, "random", { value: random, writable: true, configurable: true });

// Text is no code.
const refused = () => { throw new EvalError("Code from text is off here: eval and the Function constructor do nothing."); };
for (const one of [function () {}, async function () {}, function* () {}, async function* () {}]) {
  const proto = Object.getPrototypeOf(one);
  const constructor = function Function() { return refused(); };
  constructor.prototype = proto;
  Object.defineProperty(proto, "constructor", { value: constructor });
}
define("Function", Function.prototype.constructor);
define("eval", refused);
for (const name of ["performance", "navigator", "gc", "print", "scriptArgs", "Worker", "std", "os", "bjson"]) delete G[name];

const { stringify: json } = JSON;
let lines = 0;
let chars = 0;
let more = 0;
const show = (value) => {
  if (typeof value === "string") return value;
  if (value instanceof Error) return String(value.stack ? value.name + ": " + value.message : value);
  if (typeof value === "function" || typeof value === "symbol" || typeof value === "bigint" || value === undefined) return String(value);
  try { return json(value) ?? String(value); } catch { return String(value); }
};
const log = (level) => (...values) => {
  if (lines >= consoleMax.lines || chars >= consoleMax.chars) { more += 1; return; }
  let text;
  try { text = values.map(show).join(" "); } catch { text = "[a value that cannot be shown]"; }
  text = text.slice(0, consoleMax.chars - chars);
  lines += 1;
  chars += text.length;
  host("log", level, text);
};
define("console", Object.freeze({ log: log("INFO"), info: log("INFO"), debug: log("DEBUG"), trace: log("DEBUG"), warn: log("WARNING"), error: log("ERROR") }));

const unknownModule = (name) => {
  const error = new Error("There are no modules here: " + String(name) + " is not known. Write what you need into the code; calls belong into an HTTP node.");
  error.name = "CODE_MODULE_UNKNOWN";
  throw error;
};
define("require", unknownModule);

const clone = (value, seen) => {
  if (typeof value === "function" || typeof value === "symbol") throw new TypeError("A " + typeof value + " cannot be cloned.");
  if (typeof value !== "object" || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  const keep = (copy) => { seen.set(value, copy); return copy; };
  if (value instanceof Date) return keep(new Date(value.getTime()));
  if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
  if (value instanceof Map) { const copy = keep(new Map()); for (const [k, v] of value) copy.set(clone(k, seen), clone(v, seen)); return copy; }
  if (value instanceof Set) { const copy = keep(new Set()); for (const v of value) copy.add(clone(v, seen)); return copy; }
  if (value instanceof ArrayBuffer) return keep(value.slice(0));
  if (ArrayBuffer.isView(value)) return keep(value.slice ? value.slice() : new DataView(clone(value.buffer, seen), value.byteOffset, value.byteLength));
  if (value instanceof Error) { const copy = keep(Object.create(Object.getPrototypeOf(value))); for (const k of ["name", "message", "stack"]) Object.defineProperty(copy, k, { value: value[k], writable: true, configurable: true }); return copy; }
  const copy = keep(Array.isArray(value) ? new Array(value.length) : {});
  for (const k of Object.keys(value)) Object.defineProperty(copy, k, { value: clone(value[k], seen), writable: true, configurable: true, enumerable: true });
  return copy;
};
define("structuredClone", (value) => clone(value, new Map()));

const asked = (...question) => { const { error, value } = parse(host(...question)); if (error !== undefined) throw new TypeError(error); return value; };
define("atob", (text) => asked("atob", String(text)));
define("btoa", (text) => asked("btoa", String(text)));
define("sha256", (text) => asked("sha256", String(text)));
const uuid = () => {
  const hex = Array.from({ length: 32 }, (_, i) => (i === 12 ? 4 : i === 16 ? 8 + Math.floor(random() * 4) : Math.floor(random() * 16)).toString(16)).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
};
define("crypto", Object.freeze({ randomUUID: uuid }));

define("TextEncoder", class TextEncoder {
  get encoding() { return "utf-8"; }
  encode(text = "") { return Uint8Array.from(asked("encode", String(text))); }
});
define("TextDecoder", class TextDecoder {
  get encoding() { return "utf-8"; }
  decode(bytes = new Uint8Array()) { return asked("decode", json([...new Uint8Array(bytes.buffer ?? bytes, bytes.byteOffset ?? 0, bytes.byteLength)])); }
});

class URLSearchParams {
  #pairs; #changed;
  constructor(init = "", changed = () => {}) {
    this.#changed = changed;
    if (typeof init === "object" && init !== null) {
      const pairs = typeof init[Symbol.iterator] === "function" ? [...init] : Object.entries(init);
      this.#pairs = pairs.map(([k, v]) => [String(k), String(v)]);
    } else this.#pairs = asked("query", String(init));
  }
  #set(pairs) { this.#pairs = pairs; this.#changed(this.toString()); }
  append(k, v) { this.#set([...this.#pairs, [String(k), String(v)]]); }
  delete(k) { this.#set(this.#pairs.filter(([name]) => name !== String(k))); }
  get(k) { return this.#pairs.find(([name]) => name === String(k))?.[1] ?? null; }
  getAll(k) { return this.#pairs.filter(([name]) => name === String(k)).map(([, v]) => v); }
  has(k) { return this.#pairs.some(([name]) => name === String(k)); }
  set(k, v) {
    const at = this.#pairs.findIndex(([name]) => name === String(k));
    if (at < 0) return this.append(k, v);
    this.#set(this.#pairs.flatMap((pair, i) => (i === at ? [[String(k), String(v)]] : pair[0] === String(k) ? [] : [pair])));
  }
  sort() { this.#set([...this.#pairs].sort(([x], [y]) => (x < y ? -1 : x > y ? 1 : 0))); }
  get size() { return this.#pairs.length; }
  keys() { return this.#pairs.map(([k]) => k).values(); }
  values() { return this.#pairs.map(([, v]) => v).values(); }
  entries() { return this.#pairs.map((pair) => [...pair]).values(); }
  [Symbol.iterator]() { return this.entries(); }
  forEach(each) { for (const [k, v] of this.#pairs) each(v, k, this); }
  toString() { return asked("form", json(this.#pairs)); }
}
define("URLSearchParams", URLSearchParams);
const members = ["href", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];
class URL {
  #parts; #params;
  constructor(text, base) { this.#parts = asked("url", String(text), base === undefined ? "" : String(base)); }
  static canParse(text, base) { try { new URL(text, base); return true; } catch { return false; } }
  get origin() { return this.#parts.origin; }
  get searchParams() { return (this.#params ??= new URLSearchParams(this.#parts.search, (text) => { this.#parts = asked("change", this.#parts.href, "search", text); })); }
  static _get(url, name) { return url.#parts[name]; }
  static _set(url, name, value) { url.#parts = asked("change", url.#parts.href, name, String(value)); url.#params = undefined; }
  toString() { return this.#parts.href; }
  toJSON() { return this.#parts.href; }
}
const { _get: get, _set: set } = URL;
delete URL._get; delete URL._set;
for (const name of members) Object.defineProperty(URL.prototype, name, { get() { return get(this, name); }, set(value) { set(this, name, value); }, configurable: true, enumerable: true });
define("URL", URL);

const then = Promise.prototype.then;
let end;
let output;
const failed = (kind, error) => {
  const isError = typeof error === "object" && error !== null;
  const text = (read) => { try { return String(read()); } catch { return ""; } };
  const name = isError ? text(() => error.name ?? "") : "";
  end = { kind, name, message: isError ? text(() => error.message ?? (error instanceof Error ? "" : show(error))) : text(() => (typeof error === "string" ? error : show(error))), stack: isError ? text(() => error.stack ?? "") : "" };
};
const succeed = (value) => {
  let result;
  try { result = stringify(value); } catch (error) { failed("invalid", error); return; }
  end = { kind: "output" };
  output = result === undefined ? "null" : result;
};
return {
  call(text) {
    try {
      // The author's, in whatever way it was declared.
      const run = typeof yourFunction === "function" ? yourFunction : undefined;
      if (run === undefined) { end = { kind: "no_function" }; return; }
      const value = run(parse(text));
      if (value instanceof Promise) then.call(value, succeed, (error) => failed("thrown", error));
      else if (value !== null && (typeof value === "object" || typeof value === "function") && typeof value.then === "function") then.call(Promise.resolve(value), succeed, (error) => failed("thrown", error));
      else succeed(value);
    } catch (error) { failed("thrown", error); }
  },
  end: () => (end === undefined ? "" : stringify(end)),
  output: () => output,
  more: () => more,
  seed(text) { [a, b, c, counter] = parse(text); },
};
})`;

import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import type { SeenRequest } from "./http/outside.ts";
import { call } from "./http-node.ts";

/** Data that tries to be more than data, somewhere. */
const hostile = [
  'a", "admin": true, "b": "',
  '" or true or "',
  "a\r\nX-Evil: 1\r\n\r\nGET /evil HTTP/1.1",
  "a\nb\u0001\u001f",
  "{{event.body.secret}}",
  "../../etc/passwd",
  "..\\..\\x",
  "%2e%2e/%2f",
  "?admin=1#&x=1&amp;",
  "a b+c%20d",
  "//evil.invalid/@evil:80",
  '; name="x"; filename="y"',
  '--boundary--\r\nContent-Disposition: form-data; name="evil"\r\n\r\n1',
  "$(1+1) <!-- ' -- \\",
  "é 漢 🦊 \u2028",
  '\\"\\u0022',
] as const;

async function send(http: JsonObject, value: string): Promise<SeenRequest> {
  const { outcome, requests } = await call({ http, body: { v: value, secret: "leaked" } });
  expect(outcome.state).toBe("COMPLETED");
  const [seen, ...more] = requests;
  expect(more).toEqual([]);
  if (seen === undefined) {
    throw new Error("no request came");
  }
  return seen;
}

describe.each(hostile)("data changes no structure: %j", (value) => {
  test("of a URL", async () => {
    const http = { url: "HOST/a/x{{event.body.v}}/b?fixed=1&q={{event.body.v}}#{{event.body.v}}" };
    const { path } = await send({ ...http, query: [{ key: "k&", value: "<{{event.body.v}}>" }] }, value);
    const url = new URL(path, "http://host");
    expect(url.pathname.split("/").map(decodeURIComponent)).toEqual(["", "a", `x${value}`, "b"]);
    expect([...url.searchParams]).toEqual([
      ["fixed", "1"],
      ["q", value],
      ["k&", `<${value}>`],
    ]);
  });

  test("of a header: it is sent as it is, or nothing is", async () => {
    const http = {
      headers: [
        { key: "X-Data", value: "{{event.body.v}}" },
        { key: "X-Next", value: "1" },
      ],
    };
    const canBeSent = /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
    if (canBeSent) {
      const { headers } = await send(http, value);
      expect([headers["x-data"], headers["x-next"], headers["x-evil"]]).toEqual([value.trim(), "1", undefined]);
      return;
    }
    const { outcome, requests } = await call({ http, body: { v: value } });
    expect(outcome.error).toMatchObject({ reason: "HEADER_REFUSED", node_id: "c" });
    expect(requests).toEqual([]);
  });

  test("of JSON", async () => {
    const json = '{"a": "{{event.body.v}}", "b": "<{{event.body.v}}>", "c": [{{event.body.v}}], "d": 1}';
    const { body, headers } = await send({ method: "POST", json }, value);
    expect(headers["content-type"]).toBe("application/json");
    expect(JSON.parse(Buffer.from(body, "latin1").toString())).toEqual({ a: value, b: `<${value}>`, c: [value], d: 1 });
  });

  test("of a form", async () => {
    const fields = [
      { key: "a", value: "{{event.body.v}}" },
      { key: "b", value: "<{{event.body.v}}>" },
    ];
    const { body, headers } = await send({ method: "PUT", form: { fields } }, value);
    expect(headers["content-type"]).toBe("application/x-www-form-urlencoded");
    expect([...new URLSearchParams(body)]).toEqual([
      ["a", value],
      ["b", `<${value}>`],
    ]);
  });

  test("of a multipart form", async () => {
    const parts = [
      { name: "a", value: "{{event.body.v}}" },
      { name: "f", value: "{{event.body.v}}", filename: "{{event.body.v}}.csv", content_type: "text/csv" },
    ];
    const { body, headers } = await send({ method: "PATCH", multipart: { parts } }, value);
    const bytes = Buffer.from(body, "latin1");
    const type = String(headers["content-type"]);
    const form = await new Response(bytes, { headers: { "content-type": type } }).formData();
    const [, boundary = ""] = /boundary=(.*)$/.exec(type) ?? [];
    expect(bytes.toString().split(boundary)).toHaveLength(4);
    expect([...form.keys()]).toEqual(["a", "f"]);
    expect(form.get("a")).toBe(value);
    const file = form.get("f");
    if (!(file instanceof File)) {
      throw new Error("the second part is no file");
    }
    expect([await file.text(), file.type]).toEqual([value, "text/csv"]);
  });

  test("of a text, which is data as a whole", async () => {
    const { body, headers } = await send({ method: "POST", text: "<{{event.body.v}}>" }, value);
    expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(Buffer.from(body, "latin1").toString()).toBe(`<${value.toWellFormed()}>`);
  });
});

describe("a URL's path", () => {
  test.each(["", ".", "..", "%2e", "%2E.", "\u0000"])("is not led elsewhere by a part that is %j", async (value) => {
    const { outcome, requests } = await call({ http: { url: "HOST/a/{{event.body.v}}/b" }, body: { v: value } });
    if (value.startsWith("%") || value === "\u0000") {
      expect(requests.map(({ path }) => path)).toEqual([`/a/${encodeURIComponent(value)}/b`]);
      return;
    }
    expect(outcome.error).toMatchObject({ reason: "URL_INVALID", node_id: "c" });
    expect(requests).toEqual([]);
  });

  test("goes on from a base that data holds, which has nothing behind the path", async () => {
    const http = { url: "{{event.body.host}}/b/{{event.body.v}}" };
    const { requests } = await call({ http, body: { v: "c d" } });
    expect(requests.map(({ path }) => path)).toEqual(["/b/c%20d"]);
    for (const host of ["http://127.0.0.1:1/?x=", "http://127.0.0.1:1/#", "127.0.0.1:1", ""]) {
      const { outcome } = await call({ http, body: { v: "c", host } });
      expect(outcome.error).toMatchObject({ reason: "URL_INVALID" });
    }
  });
});

test.each(["a/b", "a@b", "a:80", "a?b", "a#b", "a\\b", "[::1]"])("data in a host stays in its label: %j", async (v) => {
  const { outcome } = await call({ http: { url: "http://{{event.body.v}}.invalid/" }, body: { v } });
  expect(outcome.error).toMatchObject({ reason: "URL_INVALID", node_id: "c" });
});

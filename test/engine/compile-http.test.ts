import type { JsonObject } from "@bufbuild/protobuf";
import { describe, test } from "vitest";
import { checkProblems, only } from "./definitions.ts";

/** Expects exactly these problems of an HTTP node, each as `REASON field`. */
function check(http: JsonObject, ...errors: string[]): void {
  const node = { id: "c", http: { method: "GET", url: "https://api.example.com/", ...http } };
  checkProblems(only(node), { errors: errors.map((each) => each.replace(" ", " c http.")) });
}

const header = (key: string, value = "1") => ({ headers: [{ key, value }] });
const pagination = (more: JsonObject) => ({ pagination: more });

describe("an HTTP node is checked before it is published", () => {
  test.each<[JsonObject, ...string[]]>([
    [{}],
    [{ url: "https://api.example.com/{{event.body.a}}?x={{event.body.b}}" }],
    [{ url: "{{event.body.base}}/x" }],
    [{ url: "{{event.body.url}}" }],
    [{ method: "FETCH" }, "METHOD_INVALID method"],
    [{ method: "get" }, "METHOD_INVALID method"],
    [{ method: "HEAD", text: "x" }, "METHOD_INVALID method"],
    [{ url: "" }, "URL_INVALID url"],
    [{ url: "/relative" }, "URL_INVALID url"],
    [{ url: "ftp://api.example.com/" }, "URL_INVALID url"],
    [{ url: "https://user:secret@api.example.com/" }, "URL_INVALID url"],
    [{ url: "{{event.body.scheme}}://api.example.com/" }, "URL_INVALID url"],
    [{ url: "{{event.body.host}}.example.com/" }, "URL_INVALID url"],
    [{ url: "api.example.com/{{event.body.a}}" }, "URL_INVALID url"],
    [{ url: "https://api.example.com/{{event.body" }, "TEMPLATE_MALFORMED url"],
    ...[
      "Host",
      "content-length",
      "Transfer-Encoding",
      "Connection",
      "TE",
      "Upgrade",
      "Proxy-Authorization",
      "Expect",
    ].map((name): [JsonObject, string] => [header(name), "HEADER_INVALID headers[0].key"]),
    [header("X Data"), "HEADER_INVALID headers[0].key"],
    [header("{{event.body.name}}"), "HEADER_INVALID headers[0].key"],
    [header("Content-Type", "text/csv")],
    [{ query: [{ key: "{{event.body.name}}", value: "1" }] }, "TEMPLATE_MISPLACED query[0].key"],
    [{ query: [{ key: "", value: "1" }] }, "FIELD_NAME_INVALID query[0].key"],
    [{ method: "POST", json: '{"a": {{event.body.a}}' }, "JSON_INVALID json"],
    [{ method: "POST", form: { fields: [{ key: "", value: "" }] } }, "FIELD_NAME_INVALID form.fields[0].key"],
    [
      { method: "POST", multipart: { parts: [{ name: "{{event.body.a}}", content_type: "csv\r\nX: 1" }] } },
      "TEMPLATE_MISPLACED multipart.parts[0].name",
      "CONTENT_TYPE_INVALID multipart.parts[0].content_type",
    ],
    [{ method: "POST", multipart: {}, ...header("content-type") }, "HEADER_INVALID headers"],
    [pagination({ link: {} })],
    [pagination({}), "PAGINATION_INVALID pagination"],
    [pagination({ page: { parameter: "" } }), "FIELD_NAME_INVALID pagination.page.parameter"],
    [pagination({ offset: { parameter: "{{event.body.a}}" } }), "TEMPLATE_MISPLACED pagination.offset.parameter"],
    [pagination({ cursor: { parameter: "c", path: "" } }), "PAGINATION_INVALID pagination.cursor.path"],
    [
      { query: [{ key: "page", value: "1" }], ...pagination({ page: { parameter: "page" } }) },
      "PAGINATION_INVALID pagination.page.parameter",
    ],
    [{ accept_any_status: true, ...pagination({ link: {} }) }, "PAGINATION_INVALID accept_any_status"],
    [{ answer: "JSON", ...pagination({ link: {} }) }],
    [{ answer: "TEXT", ...pagination({ link: {} }) }, "PAGINATION_INVALID pagination"],
    [{ answer: "BYTES", ...pagination({ link: {} }) }, "PAGINATION_INVALID pagination"],
  ])("%j", (http, ...errors) => check(http, ...errors));

  test("a node's output that is no body is read of HTTP nodes alone", () => {
    const reads = { id: "r", response: { data: '["{{node.c.status}}", "{{node.c.other}}", "{{node.t.status}}"]' } };
    const nodes = [
      { id: "start", start: { api_call: {} } },
      { id: "c", http: { method: "GET", url: "https://api.example.com/" } },
      { id: "t", transform: { query: "1" } },
      reads,
    ];
    checkProblems(
      { nodes, edges: ["start > c", "c > t", "t > r"] },
      { errors: ["TEMPLATE_UNKNOWN r response.data", "TEMPLATE_UNKNOWN r response.data"] },
    );
  });
});

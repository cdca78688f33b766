import type { RequestListener } from "node:http";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { parseApi, plainNamesOf, secretNamesOf } from "../../src/engine/secrets/api-rules.ts";
import type { ConnectionSource } from "../../src/engine/secrets/connection-source.ts";
import { IntegrationSchema } from "../../src/gen/flowcall/v1/integration_pb.ts";
import { serve, startClient } from "./http/outside.ts";
import { compile, run, start } from "./workflow.ts";

const token = "tok-0123456789";
const bearer = { headers: { fields: [{ key: "Authorization", value: "Bearer {{connection.token}}" }] } };

type Api = { readonly base_url?: string; readonly hosts?: string[]; readonly auth?: JsonObject };

function sourceOf(
  api: Api | undefined,
  credentials: Record<string, string> | "unreadable" | undefined,
): ConnectionSource {
  return {
    open: async (slug = "asana") => ({
      slug,
      accountId: "john@acme.io",
      api: api && fromJson(IntegrationSchema, { ...api }),
      credentials,
    }),
  };
}

type Options = {
  readonly http?: JsonObject;
  readonly api?: Api;
  readonly credentials?: Record<string, string> | "unreadable" | undefined;
  readonly onRequest?: RequestListener;
  readonly settings?: JsonObject;
  readonly data?: string;
};

/** Start → an HTTP node with a connection, of an integration whose base URL is that of a server → Response. */
async function call(options: Options = {}) {
  const server = await serve(options.onRequest);
  const elsewhere = await serve(options.onRequest);
  const host = `http://127.0.0.1:${server.port}`;
  const fill = <Value>(value: Value): Value =>
    // The text was made from the value.
    JSON.parse(
      JSON.stringify(value).replaceAll("HOST", host).replaceAll("ELSEWHERE", `http://127.0.0.1:${elsewhere.port}`),
    ) as Value;
  const api = fill({ base_url: "HOST/v3/", auth: bearer, ...options.api });
  const credentials = "credentials" in options ? options.credentials : { token };
  const client = await startClient({ allow: `127.0.0.1:${server.port},127.0.0.1:${elsewhere.port}` });
  const http = fill({ method: "GET", url: "/items", connection: {}, ...options.http });
  const nodes = [
    start,
    { id: "c", name: "Call", http, ...(options.settings && { settings: options.settings }) },
    { id: "r", response: { data: options.data ?? "{{node.c.body}}" } },
  ];
  const edges = ["start > c", "c > r"];
  const body = { host, elsewhere: `http://127.0.0.1:${elsewhere.port}`, id: "a/b" };
  const ran = { client, body, connections: sourceOf(api, credentials) };
  const ended = await run(nodes, edges, ran);
  const again = () => run(nodes, edges, { ...ran, earlier: ended.records });
  return { ...ended, again, requests: server.requests, elsewhere: elsewhere.requests };
}

const nothing = { requests: [], elsewhere: [] };

async function checkRefused(options: Options, reason: string, text: RegExp): Promise<void> {
  const { outcome, requests, elsewhere } = await call(options);
  expect(outcome.error).toMatchObject({ reason, node_id: "c" });
  expect(outcome.error?.message).toMatch(text);
  expect(outcome.error?.message).not.toContain(token);
  expect({ requests, elsewhere }).toEqual(nothing);
}

describe("a node with a connection sends the account's credentials", () => {
  test("in headers, in place of its own, to the base URL that its path is joined to", async () => {
    const headers = [{ key: "authorization", value: "mine" }];
    const { outcome, requests } = await call({ http: { url: "/items/{{event.body.id}}?a=1", headers } });
    expect(outcome.state).toBe("COMPLETED");
    expect(requests).toMatchObject([{ path: "/v3/items/a%2Fb?a=1", headers: { authorization: `Bearer ${token}` } }]);
  });

  test("in the query", async () => {
    const auth = { query: { fields: [{ key: "api_key", value: "{{connection.token}}&" }] } };
    const { requests } = await call({ api: { auth }, http: { url: "/items?api_key=x&a=1" } });
    expect(requests.map(({ path }) => path)).toEqual([`/v3/items?a=1&api_key=${token}%26`]);
  });

  test("as user name and password", async () => {
    const auth = { basic: { username: "{{connection.user}}", password: "{{connection.token}}" } };
    const { requests } = await call({ api: { auth }, credentials: { user: "ada", token } });
    const pair = Buffer.from(`ada:${token}`).toString("base64");
    expect(requests).toMatchObject([{ headers: { authorization: `Basic ${pair}` } }]);
  });

  test("with every page, and with a full URL of a host of the integration", async () => {
    const onRequest: RequestListener = (request, response) => {
      const isFirst = request.url === "/v3/items";
      response.setHeader("link", isFirst ? '</v3/items?page=2>; rel="next"' : "");
      response.setHeader("content-type", "application/json").end(isFirst ? "[1]" : "[2]");
    };
    const http = { pagination: { items: "", link: {} } };
    const { response, requests } = await call({ onRequest, http });
    expect(response).toEqual([1, 2]);
    expect(requests.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${token}`, `Bearer ${token}`]);
    const full = await call({ http: { url: "ELSEWHERE/x" }, api: { hosts: [] } });
    expect(full.outcome.error?.reason).toBe("CONNECTION_HOST_REFUSED");
  });
});

describe("nothing is sent", () => {
  test("to another host, port or scheme, whatever the data say", async () => {
    await checkRefused({ http: { url: "ELSEWHERE/x" } }, "CONNECTION_HOST_REFUSED", /integration "asana"/);
    await checkRefused({ http: { url: "{{event.body.elsewhere}}" } }, "CONNECTION_HOST_REFUSED", /base_url/);
    await checkRefused({ http: { url: "https://127.0.0.1/" } }, "CONNECTION_HOST_REFUSED", /hosts/);
    await checkRefused(
      { api: { hosts: ["*.example.com"] }, http: { url: "http://example.com/" } },
      "CONNECTION_HOST_REFUSED",
      /./,
    );
  });

  test("without a connection, a credential, or a base URL that is needed", async () => {
    await checkRefused({ credentials: undefined }, "CONNECTION_MISSING", /"john@acme.io".*"asana"/);
    await checkRefused(
      { credentials: undefined, http: { connection: { slug: "jira" } } },
      "CONNECTION_MISSING",
      /"jira"/,
    );
    await checkRefused({ credentials: "unreadable" }, "CONNECTION_UNREADABLE", /Put its credentials again/);
    await checkRefused({ credentials: { other: token } }, "CONNECTION_INCOMPLETE", /no credential "token"/);
    await checkRefused({ credentials: { token: "short" } }, "CONNECTION_INCOMPLETE", /shorter than 8/);
    await checkRefused({ credentials: JSON.parse(`{"__proto__": "${token}"}`) }, "CONNECTION_INCOMPLETE", /"token"/);
  });

  test("where a credential in the host is more than one label of it, or one in the path leads elsewhere", async () => {
    const api = { base_url: "http://{{connection.domain}}.example.com" };
    for (const domain of ["evil.example.org/", "a.b", "a:b", "-a", "ä", "", "a@b", "x".repeat(64)]) {
      const credentials = { token, domain };
      await checkRefused({ api, credentials }, "CONNECTION_HOST_REFUSED", /one label/);
    }
    const path = { base_url: "HOST/{{connection.domain}}/v1" };
    await checkRefused({ api: path, credentials: { token, domain: ".." } }, "CONNECTION_HOST_REFUSED", /path/);
    const { requests } = await call({ api: path, credentials: { token, domain: "a/b" } });
    expect(requests.map((request) => request.path)).toEqual(["/a%2Fb/v1/items"]);
  });
});

describe("a redirect elsewhere", () => {
  test("is refused where the server put a credential into its URL", async () => {
    const auth = { query: { fields: [{ key: "api_key", value: "{{connection.token}}" }] } };
    let elsewhere = "";
    const { outcome } = await call({
      api: { auth },
      http: { url: "/go?to={{event.body.elsewhere}}" },
      onRequest: (request, response) => {
        const url = new URL(request.url ?? "", "http://localhost");
        elsewhere = `${url.searchParams.get("to")}${url.pathname}${url.search}`;
        response.writeHead(308, { location: elsewhere }).end();
      },
    });
    expect(elsewhere).toContain(token);
    expect(outcome.error?.reason).toBe("CONNECTION_HOST_REFUSED");
    expect(JSON.stringify(outcome)).not.toContain(token);
  });

  test("goes on without the header", async () => {
    const paths: (string | undefined)[] = [];
    const { response, elsewhere } = await call({
      http: { url: "/go?to={{event.body.elsewhere}}", answer: "TEXT" },
      onRequest: (request, answer) => {
        const target = new URL(request.url ?? "", "http://localhost").searchParams.get("to");
        paths.push(request.headers.authorization);
        if (target === null) {
          answer.end("there");
        } else {
          answer.writeHead(307, { location: `${target}/end` }).end();
        }
      },
    });
    expect(response).toBe("there");
    expect(paths).toEqual([`Bearer ${token}`, undefined]);
    expect(elsewhere).toHaveLength(1);
  });
});

describe("what a node with a connection gives has no credential in it", () => {
  const echo: RequestListener = (request, response) => {
    response.setHeader("x-echo", String(request.headers.authorization)).setHeader("content-type", "application/json");
    response.end(JSON.stringify({ headers: request.headers, [token]: [token, encodeURIComponent(token)] }));
  };

  test("the live run, the record and the replay go on with the same text", async () => {
    const data = '{"body": {{node.c.body}}, "headers": {{node.c.headers}}}';
    const { response, records, again } = await call({ onRequest: echo, data });
    expect(JSON.stringify([response, records])).not.toContain(token);
    expect(response).toMatchObject({
      body: { headers: { authorization: "Bearer [REDACTED]" } },
      headers: { "x-echo": "Bearer [REDACTED]" },
    });
    expect((await again()).response).toEqual(response);
  });

  test("the bytes of an answer, and user name and password in Base64", async () => {
    const auth = { basic: { username: "ada", password: "{{connection.token}}" } };
    const { response } = await call({ api: { auth }, onRequest: echo, http: { answer: "BYTES" } });
    const { base64 = "" } = response as { base64?: string };
    expect(base64).toContain("[REDACTED]");
    const shown = Buffer.from(base64.replaceAll("[REDACTED]", ""), "base64").toString();
    expect(shown).not.toContain(token);
  });

  test("the answer that fails it, also where it is cut through the credential", async () => {
    for (const start of [0, 16_384 - 5]) {
      const { outcome, records } = await call({
        onRequest: (request, response) => {
          response.writeHead(422, { "content-type": "text/plain" });
          response.end("x".repeat(start) + request.headers.authorization?.slice("Bearer ".length) + "y".repeat(start));
        },
      });
      expect(outcome.error).toMatchObject({ reason: "HTTP_STATUS", status: 422 });
      expect(JSON.stringify([outcome, records])).not.toContain(token.slice(0, 5));
    }
  });
});

describe("what an integration says of its API", () => {
  const violationsOf = (api: Api) => {
    const violations: string[] = [];
    parseApi(fromJson(IntegrationSchema, { ...api }), ({ field }) => violations.push(field));
    return violations;
  };

  test("is refused where it is no rule", () => {
    const urls = [
      "",
      "/v3",
      "ftp://a.b",
      "https://a b/",
      "https://u@a.example.com",
      "https://a.example.com?x",
      "https://",
    ];
    const templates = [
      "https://{{connection.x}}",
      "https://{{connection.x}}.com",
      "https://a.{{connection.x}}.com",
      "https://{{env.x}}.a.b",
    ];
    for (const base_url of [...urls, ...templates, "https://{{connection.x}.a.b.c"]) {
      expect([base_url, violationsOf({ base_url })]).toEqual([base_url, ["base_url"]]);
    }
    for (const base_url of [
      "https://{{connection.x}}.example.com/v3",
      "https://a-{{connection.x}}.b.c:8443",
      "http://[::1]:80/{{connection.y}}",
    ]) {
      expect([base_url, violationsOf({ base_url })]).toEqual([base_url, []]);
    }
    for (const host of ["*", "*.com", "https://a.b", "a.b/", "a.b:0", "a.b:65536", "a*.b.c", "a b"]) {
      expect([host, violationsOf({ hosts: [host] })]).toEqual([host, ["hosts[0]"]]);
    }
    expect(violationsOf({ hosts: ["a.b", "*.b.c", "localhost:80", "[::1]"] })).toEqual([]);
    const field = (key: string, value: string) => ({ headers: { fields: [{ key, value }] } });
    expect(violationsOf({ auth: field("Host", "x") })).toEqual(["auth.headers.fields[0].key"]);
    expect(violationsOf({ auth: field("a", "{{event.body.x}}") })).toEqual(["auth.headers.fields[0].value"]);
    expect(violationsOf({ auth: {} })).toEqual(["auth"]);
  });

  test("says which credentials are secrets", () => {
    const namesOf = (api: Api) => {
      const rules = parseApi(fromJson(IntegrationSchema, { ...api }));
      return [secretNamesOf(rules), plainNamesOf(rules)];
    };
    const base_url = "https://{{connection.domain}}.example.com";
    expect(namesOf({ base_url, auth: bearer })).toEqual([["token"], ["domain"]]);
    const basic = { username: "{{connection.user}}", password: "{{connection.password}}" };
    expect(namesOf({ auth: { basic } })).toEqual([["password"], ["user"]]);
    expect(namesOf({ auth: { basic: { username: "{{connection.key}}" } } })).toEqual([["key"], []]);
    const twice = { headers: { fields: [{ key: "a", value: "{{connection.domain}}" }] } };
    expect(namesOf({ base_url, auth: twice })).toEqual([["domain"], []]);
  });

  test("a node's author cannot read a credential", () => {
    const nodes = [start, { id: "t", transform: { query: "{{connection.token}}" } }];
    expect(compile(nodes, ["start > t"]).errors).toMatchObject([{ nodeId: "t", reason: "TEMPLATE_SECRET" }]);
    const http = { method: "GET", url: "/a", connection: { slug: "{{event.body.slug}}" } };
    const problems = compile([start, { id: "c", http }], ["start > c"]).errors;
    expect(problems).toMatchObject([{ field: "http.connection.slug", reason: "CONNECTION_INVALID" }]);
    const { connection: _, ...without } = http;
    expect(compile([start, { id: "c", http: without }], ["start > c"]).errors).toMatchObject([
      { reason: "URL_INVALID" },
    ]);
  });
});

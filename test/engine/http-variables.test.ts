import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { isVariableHost } from "../../src/engine/secrets/used-variables.ts";
import type { ReadVariable } from "../../src/engine/secrets/variable-source.ts";
import { serve, startClient } from "./http/outside.ts";
import { compile, run, start } from "./workflow.ts";

const secret = "a secret/of one";

/** Start → an HTTP node that sends variables to a server, which repeats what it got → Response. */
async function call(http: JsonObject, variables: Readonly<Record<string, ReadVariable>>, target?: string) {
  const server = await serve((request, response) => {
    if (target !== undefined) {
      response.writeHead(307, { location: target }).end();
      return;
    }
    response.setHeader("content-type", "application/json").end(JSON.stringify([request.url, request.headers]));
  });
  const host = `127.0.0.1:${server.port}`;
  const fill = <Value>(value: Value): Value => JSON.parse(JSON.stringify(value).replaceAll("HOST", host)) as Value;
  const read = async (names: readonly string[]) =>
    new Map(Object.entries(fill(variables)).filter(([name]) => names.includes(name)));
  const nodes = [
    start,
    { id: "c", http: { method: "POST", url: "http://HOST/", ...http } },
    { id: "r", response: { data: "{{node.c.body}}" } },
  ];
  const client = await startClient({ allow: host });
  const ended = await run(fill(nodes), ["start > c", "c > r"], { client, variables: { read } });
  return { ...ended, requests: server.requests };
}

const headers = [{ key: "X-Key", value: "Key {{env.workspace.KEY}}" }];

describe("variables of the environment", () => {
  test("are sent in headers, query, path and body, and secret ones stand in nothing that the node gives", async () => {
    const http = {
      url: "http://HOST/a/{{env.workspace.PLAIN}}/{{env.workspace.KEY}}",
      headers,
      query: [{ key: "key", value: "{{env.workspace.KEY}}" }],
      json: '{"key": "{{env.workspace.KEY}}", "plain": {{env.workspace.PLAIN}}}',
    };
    const variables = { KEY: { value: secret, hosts: ["http://HOST"] }, PLAIN: { value: "plain", hosts: undefined } };
    const { response, records, requests } = await call(http, variables);
    const encoded = encodeURIComponent(secret);
    expect(requests).toMatchObject([
      { path: `/a/plain/${encoded}?key=${encoded}`, headers: { "x-key": `Key ${secret}` } },
    ]);
    expect(JSON.parse(requests[0]?.body ?? "")).toEqual({ key: secret, plain: "plain" });
    expect(response).toMatchObject(["/a/plain/[REDACTED]?key=[REDACTED]", { "x-key": "Key [REDACTED]" }]);
    for (const form of [secret, encoded]) {
      expect(JSON.stringify([response, records])).not.toContain(form);
    }
  });

  test("go to their hosts alone, and nothing is sent where one is missing", async () => {
    for (const hosts of [[], ["HOST"], ["*"], ["http://127.0.0.1"], ["http://*.0.0.1"], ["https://HOST"]]) {
      const { outcome, requests } = await call({ headers }, { KEY: { value: secret, hosts } });
      expect([hosts, outcome.error?.reason, requests]).toEqual([hosts, "VARIABLE_HOST_REFUSED", []]);
    }
    expect((await call({ headers }, { KEY: { value: secret, hosts: ["http://*"] } })).outcome.state).toBe("COMPLETED");
    const { outcome, requests } = await call({ headers }, {});
    expect([outcome.error?.reason, outcome.error?.message, requests]).toEqual([
      "VARIABLE_MISSING",
      expect.stringContaining('"KEY"'),
      [],
    ]);
  });

  test("are not sent to where a redirect leads", async () => {
    const variables = { KEY: { value: secret, hosts: ["http://HOST"] } };
    const { outcome, requests } = await call({ headers }, variables, "http://localhost/elsewhere");
    expect([outcome.error?.reason, requests.length]).toEqual(["VARIABLE_HOST_REFUSED", 1]);
  });

  test("stand in HTTP nodes alone", () => {
    const kinds: JsonObject[] = [
      { transform: { query: "{{env.workspace.KEY}}" } },
      { response: { data: "{{env.workspace.KEY}}" } },
      { rule: { comparisons: [{ left: "{{env.workspace.KEY}}", operator: "eq", right: "a" }] } },
    ];
    for (const kind of kinds) {
      expect(compile([start, { id: "n", ...kind }], ["start > n"]).errors).toMatchObject([
        { reason: "TEMPLATE_SECRET" },
      ]);
    }
    const http = { method: "GET", url: "https://a.example.com", headers: [{ key: "a", value: "{{env.other.KEY}}" }] };
    expect(compile([start, { id: "n", http }], ["start > n"]).errors).toMatchObject([{ reason: "TEMPLATE_UNKNOWN" }]);
    const conditions = { comparisons: [{ left: "{{env.workspace.KEY}}", operator: "eq", right: "a" }] };
    const plain = { method: "GET", url: "https://a.example.com" };
    expect(compile([start, { id: "n", http: plain, settings: { conditions } }], ["start > n"]).errors).toMatchObject([
      { field: expect.stringMatching(/^settings/), reason: "TEMPLATE_SECRET" },
    ]);
  });

  test("name hosts, or all of them", () => {
    expect(["a.b", "*.b.c", "*", "http://a.b:80", "http://*"].map(isVariableHost)).not.toContain(false);
    expect(["*.com", "https://a.b", "a.b/", "", "http://", "**"].map(isVariableHost)).not.toContain(true);
  });
});

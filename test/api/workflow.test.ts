import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { echoDefinition, productionKey, putWorkflow, testKey } from "../support/flowcall.ts";
import { type ApiAnswer, protocolsOf } from "./protocols.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { method } = WorkflowService;

const flowcall = await useFlowcall();
const protocols = protocolsOf(flowcall.url);

/** Runs the same steps over each protocol, each with an alias of its own. */
async function overEach(steps: (call: Call, alias: string) => Promise<void>): Promise<void> {
  for (const protocol of protocols) {
    const call: Call = (name, fields, rest = {}) =>
      protocol.call({ method: method[name], fields, key: testKey, ...rest });
    await steps(
      call,
      `flow-${protocol.name.toLowerCase().replaceAll(" ", "-")}-${Math.random().toString(36).slice(2)}`,
    );
  }
}

type Call = (
  name: keyof typeof method,
  fields: JsonObject,
  rest?: { readonly key?: string; readonly headers?: readonly (readonly [string, string])[] },
) => Promise<ApiAnswer>;

const anId = expect.stringMatching(/^[0-9a-f]{24}$/);
const aTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT/);

describe("a workflow is written and published alike on every protocol", () => {
  test("created, saved, published, looked up, and published again as the next version", async () => {
    await overEach(async (call, alias) => {
      const created = await call("createWorkflow", { slug: "asana", name: "Mine", alias, description: "For a test" });
      expect(created.message).toEqual({
        id: anId,
        slug: "asana",
        name: "Mine",
        description: "For a test",
        alias,
        method: "POST",
        url: `${flowcall.url}/api/v1/workflow/${alias}/execute`,
        etag: expect.stringMatching(/^"\d+"$/),
        create_time: aTime,
        update_time: aTime,
      });
      const schema = { type: "object", required: ["sample"] };
      const definition = echoDefinition("{{event.body}}", { api_call: { payload: { sample: [1, null] }, schema } });
      const saved = await call("saveDraft", { workflow: alias, definition });
      expect(saved.message).toMatchObject({ workflow_id: anId, etag: expect.stringMatching(/^"\d+"$/) });
      expect((await call("getDraft", { workflow: alias })).message).toEqual(saved.message);
      for (const version of [1, 2]) {
        const published = await call("publishWorkflow", { workflow: alias });
        expect(published.message).toEqual({ workflow_id: anId, version, warnings: [] });
      }
      const found = await call("getWorkflow", { workflow: alias, slug: "asana" });
      expect(found.message).toMatchObject({ alias, current_version: 2, payload: { sample: [1, null] }, schema });
    });
  });

  test("an alias is the workflow's: neither a draft nor a version has one, and restoring a version changes none", async () => {
    await overEach(async (call, alias) => {
      await call("createWorkflow", { slug: "asana", name: "Mine", alias });
      await call("saveDraft", { workflow: alias, definition: echoDefinition("1") });
      await call("publishWorkflow", { workflow: alias });
      await call("updateWorkflow", { workflow: alias, alias: `${alias}-new` });
      for (const { message } of [
        await call("getDraft", { workflow: `${alias}-new` }),
        await call("getVersion", { workflow: `${alias}-new`, version: 1 }),
      ]) {
        expect(JSON.stringify(message)).not.toContain(alias);
      }
      await call("restoreVersion", { workflow: `${alias}-new`, version: 1 });
      const found = await call("getWorkflow", { workflow: `${alias}-new` });
      expect(found.message).toMatchObject({ alias: `${alias}-new`, current_version: 2 });
    });
  });

  test("the panel's URL is below what the request itself called, whatever it says was forwarded", async () => {
    const alias = `panel-${Math.random().toString(36).slice(2)}`;
    await putWorkflow(flowcall.url, { alias, definition: echoDefinition("1") });
    const forged = [
      ["x-forwarded-host", "evil.example"],
      ["x-forwarded-proto", "https"],
      ["forwarded", "host=evil.example;proto=https"],
    ] as const;
    for (const { name, call } of protocols) {
      const rest = { key: testKey, headers: forged };
      const found = await call({ method: method.getWorkflow, fields: { workflow: alias }, ...rest });
      const url = `${flowcall.url}/api/v1/workflow/${alias}/execute`;
      expect([name, found.message]).toMatchObject([name, { method: "POST", url }]);
      const listed = await call({ method: method.listWorkflows, fields: { page_size: 1 }, ...rest });
      expect([name, listed.message]).toMatchObject([name, { workflows: [{ method: "POST", url }] }]);
    }
  });

  test("a draft with problems is saved; publishing it answers every problem with node and field, and changes nothing", async () => {
    const definition = {
      nodes: [
        { id: "1", name: "Start", start: { api_call: {} } },
        { id: "2", name: "Sum", transform: { query: "1 +" } },
        { id: "3", name: "Rule", rule: { comparisons: [{ left: "{{node.9.body}}", operator: "same" }] } },
      ],
      edges: [
        { source: "1", target: "2" },
        { source: "2", target: "3" },
        { source: "3", target: "4", port: "true" },
      ],
    };
    await overEach(async (call, alias) => {
      await call("createWorkflow", { slug: "asana", name: "Broken", alias });
      expect((await call("saveDraft", { workflow: alias, definition })).message).toMatchObject({ definition });
      const refused = await call("publishWorkflow", { workflow: alias });
      expect(refused.reason).toBe("WORKFLOW_INVALID");
      expect(refused.problems?.map(({ node_id, field }) => `${node_id ?? ""} ${field}`)).toEqual([
        " edges[2].target",
        "2 transform.query",
        "3 rule.comparisons[0].left",
        "3 rule.comparisons[0].operator",
      ]);
      expect((await call("getWorkflow", { workflow: alias })).message).not.toHaveProperty("current_version");
    });
  });

  test("of two who write one draft the second is refused and loses nothing", async () => {
    await overEach(async (call, alias) => {
      await call("createWorkflow", { slug: "asana", name: "Shared", alias });
      const read = Object((await call("getDraft", { workflow: alias })).message);
      const mine = echoDefinition('"mine"');
      const theirs = echoDefinition('"theirs"');
      const first = await call("saveDraft", { workflow: alias, definition: theirs, etag: read.etag });
      const second = await call("saveDraft", { workflow: alias, definition: mine, etag: read.etag });
      expect(second.reason).toBe("ETAG_MISMATCH");
      expect((await call("publishWorkflow", { workflow: alias, etag: read.etag })).reason).toBe("ETAG_MISMATCH");
      expect((await call("getDraft", { workflow: alias })).message).toEqual(first.message);
    });
  });

  test("a taken alias, an alias of an id's form, an unknown integration and an unknown field are refused", async () => {
    await overEach(async (call, alias) => {
      await call("createWorkflow", { slug: "asana", name: "Mine", alias });
      const refusals = await Promise.all([
        call("createWorkflow", { slug: "asana", name: "Mine too", alias }),
        call("createWorkflow", { slug: "asana", name: "Id", alias: "0123456789abcdef01234567" }),
        call("createWorkflow", { slug: "nowhere", name: "Lost" }),
        call("createWorkflow", { slug: "asana", name: "" }),
      ]);
      expect(refusals.map(({ reason }) => reason)).toEqual([
        "ALIAS_TAKEN",
        "VALIDATION_ERROR",
        "INTEGRATION_NOT_FOUND",
        "VALIDATION_ERROR",
      ]);
      // The same alias in another integration is another workflow's.
      expect((await call("createWorkflow", { slug: "github", name: "Mine", alias })).message).toMatchObject({ alias });
    });
  });

  test("what another environment wrote is not found", async () => {
    const id = await putWorkflow(flowcall.url, { alias: "only-in-test", definition: echoDefinition("1") });
    await overEach(async (call) => {
      for (const workflow of ["only-in-test", id]) {
        expect((await call("getWorkflow", { workflow }, { key: productionKey })).reason).toBe("WORKFLOW_NOT_FOUND");
        expect((await call("getDraft", { workflow }, { key: productionKey })).reason).toBe("WORKFLOW_NOT_FOUND");
        expect((await call("publishWorkflow", { workflow }, { key: productionKey })).reason).toBe("WORKFLOW_NOT_FOUND");
      }
    });
  });

  test("pages show each workflow once, newest first, and a token that is none is refused", async () => {
    await overEach(async (call) => {
      const names: string[] = [];
      let page_token: string | undefined;
      do {
        const page = Object(
          (await call("listWorkflows", { slug: "asana", page_size: 3, ...(page_token && { page_token }) })).message,
        );
        names.push(...page.workflows.map(({ id }: { id: string }) => id));
        page_token = page.next_page_token;
      } while (page_token !== undefined);
      expect(new Set(names).size).toBe(names.length);
      expect(names.length).toBeGreaterThan(5);
      expect((await call("listWorkflows", { page_token: "nonsense" })).reason).toBe("VALIDATION_ERROR");
      expect((await call("listWorkflows", { page_size: 0 })).reason).toBe("VALIDATION_ERROR");
    });
  });
});

test("both JSON doors refuse unknown fields by name", async () => {
  const body = JSON.stringify({ slug: "asana", name: "Mine", nickname: "x" });
  const headers = { "x-api-key": testKey, "content-type": "application/json" };
  for (const path of ["/api/v1/workflow", "/flowcall.v1.WorkflowService/CreateWorkflow"]) {
    const reply = await fetch(`${flowcall.url}${path}`, { method: "POST", headers, body });
    expect([path, reply.status, await reply.text()]).toEqual([path, 400, expect.stringContaining("nickname")]);
  }
});

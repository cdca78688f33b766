import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ConfigService } from "../../src/gen/flowcall/v1/config_pb.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { ImportService } from "../../src/gen/flowcall/v1/import_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { serve } from "../engine/http/outside.ts";
import { account, executionCalls } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { importWorkflow } = ImportService.method;
const { getDraft, getWorkflow, listWorkflows, saveDraft, publishWorkflow, testDraft } = WorkflowService.method;
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);

const flowcall = await useFlowcall({ FLOWCALL_EGRESS_ALLOW: "127.0.0.0/8" });
const calls = executionCalls(flowcall.url);

function sourceOf(name: string): string {
  return readFileSync(join(import.meta.dirname, `../authoring/refold/${name}.json`), "utf8");
}

/** What the one REST call answered, as an object. */
async function ask(...call: Parameters<typeof calls.ask>) {
  const { message, reason, violations } = await calls.ask(...call);
  expect([reason, violations]).toEqual([undefined, undefined]);
  return Object(message);
}

const asked = (fields: JsonObject) => ({ format: "REFOLD", slug: "asana", ...fields });

async function workflowCount(): Promise<number> {
  return (await ask(listWorkflows, { page_size: 200 })).workflows.length;
}

describe("an import", () => {
  test("of each format answers the draft that it keeps, with all that is to be known of it, over each protocol", async () => {
    for (const name of ["export-file", "document-dump", "draft", "old-format"]) {
      const dry = await ask(importWorkflow, asked({ source: sourceOf(name), dry_run: true }));
      expect([name, dry.workflow_id, dry.errors]).toEqual([name, undefined, []]);
      const kept = await ask(importWorkflow, asked({ source: sourceOf(name), alias: `kept-${name}` }));
      expect(kept).toEqual({ ...dry, workflow_id: anId });
      expect((await ask(getDraft, { workflow: kept.workflow_id })).definition).toEqual(dry.definition);
      const workflow = await ask(getWorkflow, { workflow: kept.workflow_id });
      expect(workflow).toMatchObject({ name: dry.name, alias: `kept-${name}` });
      // It is never published by itself.
      expect(workflow).not.toHaveProperty("current_version");
    }
    const small = asked({ source: '{"name":"Small","nodes":[{"id":"1","type":"start"}]}', dry_run: true });
    await calls.check(importWorkflow, small, await ask(importWorkflow, small));
  });

  test("replaces the draft of a workflow that is named, and keeps its alias", async () => {
    const { id } = await ask(WorkflowService.method.createWorkflow, { slug: "asana", name: "Mine", alias: "mine" });
    const made = await ask(importWorkflow, { format: "REFOLD", source: sourceOf("draft"), workflow: "mine" });
    expect(made.workflow_id).toBe(id);
    expect((await ask(getDraft, { workflow: id })).definition).toEqual(made.definition);
    expect(await ask(getWorkflow, { workflow: id })).toMatchObject({ name: "Mine", alias: "mine" });
  });

  test("runs against the services that the original called, where what is missing was put in its place", async () => {
    const { port, requests } = await serve((request, response) => {
      const found = { data: { items: [{ item: { id: 41, emails: ["ada@x.io"] } }] } };
      response.writeHead(200, { "content-type": "application/json" });
      response.end(
        JSON.stringify(request.method === "GET" ? found : { data: { items: [{ id: 7, title: "Ada Demo" }] } }),
      );
    });
    const made = await ask(importWorkflow, asked({ source: sourceOf("export-file"), alias: "lead" }));
    const payload = {
      prospect: { email: "ada@x.io", first_name: "Ada", last_name: 'O"Hara' },
      sequence: { containsLink: true, emailBody: 'a "quoted"\nline' },
    };
    const body = { name: "Ada" };
    const outputs = Object.fromEntries(
      ["3", "6", "10"].map((id) => [id, { status: 200, headers: {}, body: { data: { items: [] } } }]),
    );
    // Stand-ins for what is not imported: the test of the draft passes.
    const tried = await ask(testDraft, {
      workflow: "lead",
      linked_account_id: account,
      payload,
      outputs: { ...outputs, "13": body },
    });
    expect(tried).toMatchObject({ status: "COMPLETED" });
    // Somebody writes the function that the export did not have.
    const { definition } = made;
    const nodes = definition.nodes.map((node: JsonObject) =>
      node["id"] === "13" ? { ...node, code: { code: "function yourFunction() { return {}; }" } } : node,
    );
    await ask(saveDraft, { workflow: "lead", definition: { ...definition, nodes } });
    await ask(publishWorkflow, { workflow: "lead" });
    await ask(ConfigService.method.putConfig, {
      account_id: account,
      slug: "asana",
      workflow_fields: {
        lead: {
          "pipebase base URL": `http://127.0.0.1:${port}`,
          "On click": "create_person",
          "Due In": 2,
          "Deal title": "Demo",
          "Select Pipeline (Applicable for Deals)": "p1",
        },
      },
    });
    const ran = await calls.ask(ExecutionService.method.executeWorkflow, {
      workflow: "lead",
      linked_account_id: account,
      sync_execution: true,
      payload,
    });
    expect(ran.message).toEqual({ return_value: null, execution_id: anId });
    const deal = {
      title: "Ada Demo",
      pipeline: "p1",
      due: expect.stringMatching(/^\d{4}-/),
      due_date: expect.any(String),
    };
    const seen = requests.map(({ method, path, body: sent }) => [
      method,
      path,
      sent === "" ? undefined : JSON.parse(sent),
    ]);
    expect(seen.toSorted()).toEqual([
      ["GET", "/v1/persons/search?term=ada%40x.io&fields=%5B%22email%22%5D&exact_match=true", undefined],
      ["POST", "/v1/deals", deal],
      [
        "PUT",
        "/v1/persons/41",
        {
          name: 'Ada O"Hara',
          // The original read it from a branch beside this one, and so does the import: it may be there or not.
          extra: expect.toBeOneOf([null, {}]),
          email: "ada@x.io",
          note: '<p>a "quoted"\nline</p>',
        },
      ],
    ]);
  });

  test("of what cannot be one is refused, and nothing is kept", async () => {
    const before = await workflowCount();
    const cyclic = {
      nodes: [
        { id: "1", type: "start" },
        { id: "2", type: "rule" },
      ],
      edges: [{ source: "2", target: "2" }],
    };
    const refused = async (fields: JsonObject) => {
      const { reason, text: message, status } = await calls.ask(importWorkflow, asked(fields));
      return [status, reason, message];
    };
    expect(await refused({ source: "name: not JSON" })).toEqual([
      400,
      "INVALID_JSON",
      expect.stringContaining("source"),
    ]);
    expect(await refused({ source: '{"nodes": [' })).toEqual([400, "INVALID_JSON", expect.stringContaining("source")]);
    expect(await refused({ source: `${"[".repeat(100)}${"]".repeat(100)}` })).toEqual([
      400,
      "PAYLOAD_TOO_DEEP",
      expect.any(String),
    ]);
    expect(await refused({ source: "[]" })).toEqual([
      400,
      "IMPORT_INVALID",
      expect.stringContaining("one exported workflow"),
    ]);
    expect(await refused({ source: JSON.stringify(cyclic) })).toEqual([
      400,
      "IMPORT_INVALID",
      expect.stringContaining('edges leads in a circle: "2"'),
    ]);
    expect(await refused({ source: JSON.stringify({ nodes: [{ id: "1" }, 5] }) })).toEqual([
      400,
      "IMPORT_INVALID",
      expect.stringMatching(/nodes\[0\].type is missing.*nodes\[1\] must be.*0 Start nodes/),
    ]);
    expect(await refused({ source: " ".repeat(1_048_577) })).toEqual([400, "VALIDATION_ERROR", expect.any(String)]);
    expect(await refused({ source: " ".repeat(10_000_000) })).toEqual([413, "PAYLOAD_TOO_LARGE", expect.any(String)]);
    expect(await refused({ source: sourceOf("draft"), slug: "nowhere" })).toEqual([
      404,
      "INTEGRATION_NOT_FOUND",
      expect.any(String),
    ]);
    expect(await refused({ source: sourceOf("draft"), alias: "create-task" })).toEqual([
      409,
      "ALIAS_TAKEN",
      expect.any(String),
    ]);
    expect(await refused({ source: sourceOf("draft"), workflow: "nobody" })).toEqual([
      404,
      "WORKFLOW_NOT_FOUND",
      expect.any(String),
    ]);
    expect(await refused({ source: sourceOf("draft"), format: "FORMAT_UNSPECIFIED" })).toEqual([
      400,
      "VALIDATION_ERROR",
      expect.any(String),
    ]);
    const nowhere = await calls.ask(importWorkflow, {
      format: "REFOLD",
      source: '{"nodes":[{"id":"1","type":"start"}]}',
    });
    expect([nowhere.reason, nowhere.text]).toEqual([
      "VALIDATION_ERROR",
      expect.stringContaining("slug is not in the export"),
    ]);
    expect(await workflowCount()).toBe(before);
  });
});

import type { DescMethodUnary, JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { IntegrationService } from "../../src/gen/flowcall/v1/integration_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { echoDefinition, productionKey, putWorkflow, testKey } from "../support/flowcall.ts";
import { aTime, executionCalls, invalid, type Refusal } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { createIntegration, getIntegration, listIntegrations, updateIntegration, deleteIntegration } =
  IntegrationService.method;
const { createWorkflow, deleteWorkflow, listWorkflows } = WorkflowService.method;
const { getExecution } = ExecutionService.method;

const notFound: Refusal = { status: 404, code: "NotFound", reason: "INTEGRATION_NOT_FOUND" };
const stale: Refusal = { status: 412, code: "Aborted", reason: "ETAG_MISMATCH" };

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);

describe("an integration is kept alike on every protocol", () => {
  const fields: readonly JsonObject[] = [
    { name: "Region", type: "STRING", required: true },
    { name: "Due date (days)", type: "NUMBER", default_value: 3 },
  ];

  test("created, looked up, changed and deleted", async () => {
    for (const { name: protocol, call } of calls.protocols) {
      const slug = `kept-${protocol.replaceAll(" ", "-")}`;
      const send = (method: DescMethodUnary, rest: JsonObject = {}) =>
        call({ method, fields: { slug, ...rest }, key: testKey });
      const created = await send(createIntegration, { name: "Kept", fields: [...fields] });
      const integration = {
        slug,
        name: "Kept",
        fields,
        hosts: [],
        etag: '"1"',
        create_time: aTime,
        update_time: aTime,
      };
      expect([protocol, created.message]).toEqual([protocol, integration]);
      expect((await send(getIntegration)).message).toEqual(created.message);

      const changed = await send(updateIntegration, { name: "Changed", etag: '"1"' });
      expect(changed.message).toMatchObject({ name: "Changed", etag: '"2"', fields: [] });
      expect((await send(updateIntegration, { name: "Late", etag: '"1"' })).reason).toBe("ETAG_MISMATCH");
      expect((await send(updateIntegration, { name: "Any" })).message).toMatchObject({ name: "Any", etag: '"3"' });

      expect((await send(deleteIntegration)).message).toEqual({});
      expect((await send(getIntegration)).reason).toBe("INTEGRATION_NOT_FOUND");
    }
  });

  test("one slug is one integration", async () => {
    await calls.checkRefused(
      createIntegration,
      { slug: "asana", name: "Again" },
      { status: 409, code: "AlreadyExists", reason: "INTEGRATION_EXISTS" },
    );
  });

  test("what is not there cannot be read, changed or deleted", async () => {
    await calls.checkRefused(getIntegration, { slug: "nowhere" }, notFound);
    await calls.checkRefused(updateIntegration, { slug: "nowhere", name: "X" }, notFound);
    await calls.checkRefused(updateIntegration, { slug: "nowhere", name: "X", etag: '"1"' }, notFound);
    await calls.checkRefused(deleteIntegration, { slug: "nowhere" }, notFound);
    await calls.checkRefused(updateIntegration, { slug: "asana", name: "X", etag: "W/1" }, stale);
  });

  test("declarations that contradict themselves are refused, all of them at once", async () => {
    const bad = [
      { name: "Region", type: "STRING", default_value: 1 },
      { name: "Region", type: "ARRAY", default_value: {} },
    ];
    await calls.checkRefused(
      createIntegration,
      { slug: "bad", name: "Bad", fields: bad },
      {
        ...invalid,
        text: /fields\[0\]\.default_value must be a string.*fields\[1\]\.name.*fields\[1\]\.default_value must be an array/,
      },
    );
    for (const name of ["a.b", "{a", " a", ""]) {
      await calls.checkRefused(createIntegration, { slug: "bad", name: "Bad", fields: [{ name }] }, invalid);
    }
  });

  test("one that has workflows is not deleted", async () => {
    await calls.ask(createIntegration, { slug: "used", name: "Used" });
    await putWorkflow(flowcall.url, { alias: "user", slug: "used", definition: {}, isPublished: false });
    const inUse = { status: 400, code: "FailedPrecondition", reason: "INTEGRATION_IN_USE" };
    await calls.checkRefused(deleteIntegration, { slug: "used" }, inUse);
    expect((await calls.ask(getIntegration, { slug: "used" })).message).toMatchObject({ name: "Used" });
  });

  test("one whose workflows are deleted is deleted too, and what ran of them stays", async () => {
    for (const { name: protocol, call } of calls.protocols) {
      const slug = `left-${protocol.replaceAll(" ", "-")}`;
      const send = (method: DescMethodUnary, fields: JsonObject) => call({ method, fields, key: testKey });
      await send(createIntegration, { slug, name: "Left" });
      const workflow = await putWorkflow(flowcall.url, { alias: "left", slug, definition: echoDefinition("1") });
      const execution_id = await calls.start({ workflow, payload: {}, sync_execution: true });
      await send(deleteWorkflow, { workflow });

      expect([protocol, (await send(deleteIntegration, { slug })).message]).toEqual([protocol, {}]);
      const { message } = await send(getExecution, { execution_id });
      expect(message).toMatchObject({ workflow_id: workflow, slug, state: "COMPLETED", response: 1 });
      expect((await send(createWorkflow, { slug, name: "Late" })).reason).toBe("INTEGRATION_NOT_FOUND");

      await send(createIntegration, { slug, name: "Again" });
      const { workflows } = Object((await send(listWorkflows, { slug })).message);
      expect(workflows).toEqual([]);
      await putWorkflow(flowcall.url, { alias: "left", slug, definition: {}, isPublished: false });
      expect((await send(deleteIntegration, { slug })).reason).toBe("INTEGRATION_IN_USE");
    }
  });
});

test("a list has each integration of its environment once, in pages", async () => {
  for (const slug of ["page-a", "page-b", "page-c"]) {
    await calls.ask(createIntegration, { slug, name: slug });
  }
  const slugs: string[] = [];
  let page_token: string | undefined;
  do {
    const fields = { page_size: 2, ...(page_token !== undefined && { page_token }) };
    const page = Object((await calls.ask(listIntegrations, fields)).message);
    for (const { slug } of page.integrations) {
      slugs.push(slug);
    }
    page_token = page.next_page_token;
  } while (page_token !== undefined);
  expect(slugs).toEqual([...new Set(slugs)].sort());
  expect(slugs).toEqual(expect.arrayContaining(["asana", "github", "page-a", "page-b", "page-c"]));
  await calls.checkRefused(listIntegrations, { page_token: "x" }, invalid);
  await calls.checkRefused(getIntegration, { slug: "page-a" }, notFound, { key: productionKey });
});

test("each change is kept with who made it", async () => {
  await calls.ask(createIntegration, { slug: "audited", name: "Audited" });
  await calls.ask(updateIntegration, { slug: "audited", name: "Other" });
  await calls.ask(updateIntegration, { slug: "audited", name: "Late", etag: '"1"' });
  await calls.ask(deleteIntegration, { slug: "audited" });
  const { rows } = await flowcall.database.query(
    `select action, api_key.name as key from audit_event join api_key on api_key.id = key_id
      where resource = 'integration/audited' order by action`,
  );
  const key = "first test key";
  expect(rows).toEqual([
    { action: "CREATE", key },
    { action: "DELETE", key },
    { action: "UPDATE", key },
  ]);
});

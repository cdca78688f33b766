import type { DescMethodUnary, JsonObject } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, test } from "vitest";
import { ConfigService } from "../../src/gen/flowcall/v1/config_pb.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { IntegrationService } from "../../src/gen/flowcall/v1/integration_pb.ts";
import { LinkedAccountService } from "../../src/gen/flowcall/v1/linked_account_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { putWorkflow, testKey } from "../support/flowcall.ts";
import { account, aTime, executionCalls, invalid, notFound } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { putConfig, getConfig, listConfigs, deleteConfig } = ConfigService.method;
const { executeWorkflow, getExecutionResponse, rerunExecution } = ExecutionService.method;

const fields = [
  { name: "Region", type: "STRING", required: true },
  { name: "Retries", type: "NUMBER", default_value: 3 },
];

const data =
  '{"region": {{application.fields.Region}}, "n": {{application.fields.Retries}}, "due": {{workflow.fields.Due date (days)}}}';

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);
let workflowId: string;

beforeAll(async () => {
  await calls.ask(IntegrationService.method.createIntegration, { slug: "shop", name: "Shop", fields });
  workflowId = await putWorkflow(flowcall.url, { alias: "fields", slug: "shop", definition: definition(0) });
});

/** Start → Delay → Response with all fields. */
function definition(delayMs: number): JsonObject {
  return {
    fields: [{ name: "Due date (days)", type: "NUMBER", default_value: 7 }],
    nodes: [
      { id: "1", name: "Start", start: { api_call: {} } },
      { id: "2", name: "Delay", delay: { seconds: String(delayMs / 1000) } },
      { id: "3", name: "Response", response: { data } },
    ],
    edges: [
      { source: "1", target: "2" },
      { source: "2", target: "3" },
    ],
  };
}

describe("a configuration is kept alike on every protocol", () => {
  test("put, looked up, put again and deleted", async () => {
    for (const { name: protocol, call } of calls.protocols) {
      const account_id = `of ${protocol}`;
      await calls.ask(LinkedAccountService.method.putLinkedAccount, { account_id });
      const send = async (method: DescMethodUnary, rest: JsonObject = {}) =>
        call({ method, fields: { account_id, slug: "shop", config_id: "second", ...rest }, key: testKey });
      const values = {
        application_fields: { Region: "eu" },
        workflow_fields: { fields: { "Due date (days)": 1 } },
      };
      const created = await send(putConfig, values);
      const config = {
        account_id,
        slug: "shop",
        config_id: "second",
        application_fields: { Region: "eu" },
        workflow_fields: { [workflowId]: { "Due date (days)": 1 } },
        etag: '"1"',
        create_time: aTime,
        update_time: aTime,
      };
      expect([protocol, created.text, created.message]).toEqual([protocol, undefined, config]);
      expect((await send(getConfig)).message).toEqual(created.message);
      const { configs } = Object((await call({ method: listConfigs, fields: { account_id }, key: testKey })).message);
      expect(configs).toMatchObject([{ account_id, slug: "shop", config_id: "second", etag: '"1"' }]);
      expect(configs[0]).not.toHaveProperty("application_fields");
      const changed = await send(putConfig, { application_fields: { Region: "us" }, etag: '"1"' });
      expect(changed.message).toMatchObject({ application_fields: { Region: "us" }, etag: '"2"' });
      expect((await send(putConfig, { ...values, etag: '"1"' })).reason).toBe("ETAG_MISMATCH");
      expect((await send(deleteConfig)).message).toEqual({});
      expect((await send(getConfig)).reason).toBe("RESOURCE_NOT_FOUND");
    }
  });

  test("with values as they are declared, or refused for all that is wrong", async () => {
    const bad = {
      account_id: account,
      slug: "shop",
      application_fields: { Retries: "3", Colour: "red" },
      workflow_fields: { fields: { "Due date (days)": true }, nowhere: {} },
    };
    const text =
      /Retries.*must be a number.*Colour.*is not declared.*Region.*is required.*Due date.*must be a number.*nowhere.*is no workflow/;
    await calls.checkRefused(putConfig, bad, { ...invalid, text });
    const twice = { ...bad, application_fields: { Region: "eu" }, workflow_fields: { fields: {}, [workflowId]: {} } };
    await calls.checkRefused(putConfig, twice, { ...invalid, text: /named twice/ });
    const good = { slug: "shop", application_fields: { Region: "eu" } };
    await calls.checkRefused(putConfig, { ...good, account_id: "nobody" }, notFound);
  });

  test("in pages, in the order of slug and id", async () => {
    const account_id = "paged@acme.io";
    await calls.ask(LinkedAccountService.method.putLinkedAccount, { account_id });
    for (const slug of ["asana", "github"]) {
      for (const config_id of ["a/b", "a"]) {
        await calls.ask(putConfig, { account_id, slug, config_id });
      }
    }
    const seen: string[] = [];
    let page_token: string | undefined;
    do {
      const page = { account_id, page_size: 1, ...(page_token !== undefined && { page_token }) };
      const { configs, next_page_token } = Object((await calls.ask(listConfigs, page)).message);
      seen.push(...configs.map((config: JsonObject) => `${config["slug"]} ${config["config_id"]}`));
      page_token = next_page_token;
    } while (page_token !== undefined);
    expect(seen).toEqual(["asana a", "asana a/b", "github a", "github a/b"]);
  });
});

describe("a run reads", () => {
  const run = async (rest: JsonObject = {}) => {
    const call = { workflow: "fields", linked_account_id: account, sync_execution: true, ...rest };
    return Object((await calls.ask(executeWorkflow, call)).message).return_value;
  };

  test("what is set for its account and config_id, defaults for the rest, and null where there is neither", async () => {
    expect(await run()).toEqual({ region: null, n: 3, due: 7 });
    const key = { account_id: account, slug: "shop" };
    await calls.ask(putConfig, { ...key, application_fields: { Region: "eu", Retries: 5 } });
    const workflow_fields = { [workflowId]: { "Due date (days)": 1 } };
    await calls.ask(putConfig, { ...key, config_id: "b", application_fields: { Region: "us" }, workflow_fields });
    expect(await run()).toEqual({ region: "eu", n: 5, due: 7 });
    expect(await run({ config_id: "b" })).toEqual({ region: "us", n: 3, due: 1 });
    expect(await run({ config_id: "c" })).toEqual({ region: null, n: 3, due: 7 });
    expect(await run({ linked_account_id: "jane@acme.io" })).toEqual({ region: null, n: 3, due: 7 });
  });

  test("what was set when it started; one that is run again what is set then", async () => {
    await putWorkflow(flowcall.url, { alias: "late", slug: "shop", definition: definition(400) });
    const key = { account_id: account, slug: "shop", config_id: "late" };
    await calls.ask(putConfig, { ...key, application_fields: { Region: "before" } });
    const execution_id = await calls.start({ workflow: "late", config_id: "late" });
    await calls.ask(putConfig, { ...key, application_fields: { Region: "after" } });
    const of = { linked_account_id: account, wait: 10 };
    const first = await calls.ask(getExecutionResponse, { execution_id, ...of });
    expect(first.message).toMatchObject({ response: { region: "before" } });
    const again = Object((await calls.ask(rerunExecution, { execution_id })).message).execution_id;
    const second = await calls.ask(getExecutionResponse, { execution_id: again, ...of });
    expect(second.message).toMatchObject({ response: { region: "after" } });
  });

  test("nothing of fields where its workflow names none", async () => {
    const execution_id = await calls.start();
    const { rows } = await flowcall.database.query(`select fields from execution where id = '${execution_id}'`);
    expect(rows).toEqual([{ fields: null }]);
  });
});

test("a workflow that declares fields which contradict themselves is not published", async () => {
  const bad = { fields: [{ name: "A", type: "STRING", default_value: 1 }, { name: "A" }] };
  await putWorkflow(flowcall.url, { alias: "bad", definition: { ...definition(0), ...bad }, isPublished: false });
  const { problems = [] } = await calls.ask(WorkflowService.method.publishWorkflow, { workflow: "bad" });
  const wrong = problems.map(({ field }) => field).filter((field) => field.startsWith("fields"));
  expect(wrong).toEqual(["fields[0].default_value", "fields[1].name"]);
});

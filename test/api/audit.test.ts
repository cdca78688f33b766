import type { DescMethodUnary, JsonObject } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, test } from "vitest";
import { ApiKeyService } from "../../src/gen/flowcall/v1/api_key_pb.ts";
import { AuditService } from "../../src/gen/flowcall/v1/audit_pb.ts";
import { ConfigService } from "../../src/gen/flowcall/v1/config_pb.ts";
import { ConnectionService } from "../../src/gen/flowcall/v1/connection_pb.ts";
import { IntegrationService } from "../../src/gen/flowcall/v1/integration_pb.ts";
import { LinkedAccountService } from "../../src/gen/flowcall/v1/linked_account_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { echoDefinition, productionKey, testKey } from "../support/flowcall.ts";
import { aTime, executionCalls, invalid, type Refusal } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { listAuditEvents } = AuditService.method;
const { createApiKey, rotateApiKey, revokeApiKey } = ApiKeyService.method;
const workflow = WorkflowService.method;

const anId = expect.stringMatching(/^[0-9a-f]{24}$/);

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);
/** Of the key that the tests call with. */
let keyId: string;

beforeAll(async () => {
  await calls.ask(IntegrationService.method.createIntegration, { slug: "seen", name: "Seen" });
  const [event] = await list({ resource: "integration/seen" });
  keyId = event?.key_id ?? "";
  expect(keyId).toEqual(anId);
});

type Event = { readonly id: string; readonly key_id: string; readonly action: string; readonly resource: string };

/** The events that each protocol lists. */
async function list(fields: JsonObject): Promise<readonly Event[]> {
  const answers = await Promise.all(
    calls.protocols.map(({ call }) => call({ method: listAuditEvents, fields, key: testKey })),
  );
  for (const { message, text } of answers) {
    expect([text, message]).toEqual([undefined, answers[0]?.message]);
  }
  return Object(answers[0]?.message).audit_events;
}

function actionsOf(events: readonly Event[]): readonly string[] {
  return events.map(({ action }) => action).toSorted();
}

describe("who changed what is told", () => {
  test("of every change of a workflow, and of none that was refused", async () => {
    for (const { name: protocol, call } of calls.protocols) {
      const alias = `told-${protocol.replaceAll(" ", "-")}`;
      const send = async (method: DescMethodUnary, fields: JsonObject) =>
        Object((await call({ method, fields, key: testKey })).message);
      const { id } = await send(workflow.createWorkflow, { slug: "seen", name: "Told", alias });
      const resource = `workflow/${id}`;
      await send(workflow.createWorkflow, { slug: "seen", name: "Again", alias });
      await send(workflow.saveDraft, { workflow: alias, definition: { nodes: [] } });
      await send(workflow.publishWorkflow, { workflow: alias });
      await send(workflow.saveDraft, { workflow: alias, definition: echoDefinition("1") });
      await send(workflow.saveDraft, { workflow: alias, definition: { nodes: [] }, etag: '"0"' });
      await send(workflow.publishWorkflow, { workflow: alias });
      await send(workflow.updateWorkflow, { workflow: alias, name: "Renamed" });
      await send(workflow.updateWorkflow, { workflow: alias, alias: `${alias}-too`, etag: '"0"' });
      await send(workflow.updateWorkflow, { workflow: alias, alias: `${alias}-too` });
      await send(workflow.restoreVersion, { workflow: id, version: 1 });
      await send(workflow.restoreVersion, { workflow: id, version: 9 });
      await send(workflow.unpublishWorkflow, { workflow: id });
      await send(workflow.unpublishWorkflow, { workflow: id });
      await send(workflow.validateDraft, { workflow: id });
      await send(workflow.deleteWorkflow, { workflow: id });
      await send(workflow.deleteWorkflow, { workflow: id });

      const events = await list({ resource });
      expect(events).toEqual(
        Array(9).fill({ id: anId, key_id: keyId, action: expect.any(String), resource, create_time: aTime }),
      );
      expect([protocol, actionsOf(events)]).toEqual([
        protocol,
        ["CREATE", "DELETE", "PUBLISH", "RESTORE", "SAVE_DRAFT", "SAVE_DRAFT", "UNPUBLISH", "UPDATE", "UPDATE"],
      ]);
    }
  });

  test("of integrations, accounts, what is set and connected for them, and keys", async () => {
    const [account_id, slug] = ["told@acme.io", "told"];
    await calls.ask(IntegrationService.method.createIntegration, { slug, name: "Told" });
    await calls.ask(LinkedAccountService.method.putLinkedAccount, { account_id, name: "Told" });
    await calls.ask(ConfigService.method.putConfig, { account_id, slug });
    await calls.ask(ConnectionService.method.putConnection, {
      account_id,
      slug,
      credentials: { token: "a secret of one" },
    });
    const made = Object((await calls.ask(createApiKey, { name: "told", scopes: ["read"] })).message);
    const api_key_id = made.api_key.id;
    await calls.ask(rotateApiKey, { api_key_id });
    await calls.ask(revokeApiKey, { api_key_id });
    await calls.ask(revokeApiKey, { api_key_id });
    for (const [resource, actions] of [
      [`integration/${slug}`, ["CREATE"]],
      [`linked-account/${account_id}`, ["CREATE"]],
      [`linked-account/${account_id}/config/${slug}`, ["CREATE"]],
      [`linked-account/${account_id}/connection/${slug}`, ["CREATE"]],
      [`api-key/${api_key_id}`, ["CREATE", "REVOKE", "ROTATE"]],
    ] as const) {
      expect([resource, actionsOf(await list({ resource }))]).toEqual([resource, actions]);
    }
    const answers = await list({ key_id: keyId, page_size: 200 });
    expect(JSON.stringify(answers)).not.toMatch(/secret|tk[0-9a-f]{4}/);
  });
});

describe("a list of changes", () => {
  test("has the newest first, in pages whose tokens are of that list alone", async () => {
    const slugs = ["page-a", "page-b", "page-c"];
    for (const slug of slugs) {
      await calls.ask(IntegrationService.method.createIntegration, { slug, name: slug });
      await calls.ask(IntegrationService.method.deleteIntegration, { slug });
    }
    const filter = { key_id: keyId, action: "DELETE" };
    const times: string[] = [];
    const ids: string[] = [];
    let page_token: string | undefined;
    do {
      const fields = { ...filter, page_size: 2, ...(page_token !== undefined && { page_token }) };
      const page = Object((await calls.ask(listAuditEvents, fields)).message);
      for (const { id, create_time } of page.audit_events) {
        ids.push(id);
        times.push(create_time);
      }
      page_token = page.next_page_token;
    } while (page_token !== undefined);
    expect(ids.length).toBeGreaterThanOrEqual(slugs.length);
    expect(new Set(ids).size).toBe(ids.length);
    expect(times).toEqual(times.toSorted().reverse());
    expect(await list({ ...filter, page_size: 200 })).toEqual(ids.map((id) => expect.objectContaining({ id })));

    const { next_page_token } = Object((await calls.ask(listAuditEvents, { ...filter, page_size: 2 })).message);
    const refusal = { ...invalid, text: /page_token/ };
    for (const other of [{}, { ...filter, action: "CREATE" }, { ...filter, resource: "integration/page-a" }]) {
      await calls.checkRefused(listAuditEvents, { ...other, page_token: next_page_token }, refusal);
    }
    const foreign = { ...filter, page_token: next_page_token };
    await calls.checkRefused(listAuditEvents, foreign, refusal, { key: productionKey });
    await calls.checkRefused(ApiKeyService.method.listApiKeys, { page_token: next_page_token }, refusal);
  });

  test("can be asked for by resource, action, key and time, and by all of them at once", async () => {
    const resource = "integration/seen";
    const all = await list({ resource });
    expect(all).toHaveLength(1);
    const [{ create_time = "" } = {}] = all as readonly { readonly create_time?: string }[];
    const past = { created_since: "2020-01-01T00:00:00Z" };
    const cases: readonly (readonly [JsonObject, number])[] = [
      [{ action: "CREATE" }, 1],
      [{ action: "DELETE" }, 0],
      [{ key_id: keyId }, 1],
      [{ key_id: "examples" }, 0],
      [{ created_since: create_time }, 1],
      [{ created_before: create_time }, 0],
      [{ ...past, created_before: "2100-01-01T00:00:00Z", action: "CREATE", key_id: keyId }, 1],
    ];
    for (const [filter, length] of cases) {
      expect([filter, (await list({ resource, ...filter })).length]).toEqual([filter, length]);
    }
    expect(await list({ resource: "integration/see" })).toEqual([]);
    const loaded = await list({ key_id: "examples", action: "PUBLISH" });
    expect(loaded.length).toBeGreaterThan(3);
  });

  test("is of one environment", async () => {
    for (const { name, call } of calls.protocols) {
      const fields = { page_size: 200 };
      const { message } = await call({ method: listAuditEvents, key: productionKey, fields });
      const { audit_events } = Object(message);
      const keys = new Set(audit_events.map(({ key_id }: Event) => key_id));
      expect([name, keys]).toEqual([name, new Set(["examples"])]);
    }
  });

  test.each<[string, JsonObject, RegExp]>([
    ["a page that is too large", { page_size: 201 }, /page_size/],
    ["a token that no page gave", { page_token: "nonsense" }, /page_token/],
    ["an unspecified action", { action: 0 }, /action/],
    ["an action that is none", { action: 99 }, /action/],
    ["an empty resource", { resource: "" }, /resource/],
    ["an empty key", { key_id: "" }, /key_id/],
    ["a time before there was any", { created_since: "1969-12-31T23:59:59Z" }, /created_since/],
  ])("is refused for %s", async (_, fields, text) => {
    await calls.checkRefused(listAuditEvents, fields, { ...invalid, text });
  });

  test("is for those who keep keys: a restricted key, which cannot be one of theirs, sees none", async () => {
    const lacking: Refusal = { status: 403, code: "PermissionDenied", reason: "SCOPE_MISSING" };
    for (const fields of [
      { name: "author", scopes: ["execute", "read", "author"] },
      { name: "restricted", scopes: ["execute", "read"], workflows: ["create-task"] },
      { name: "restricted", scopes: ["execute", "read"], linked_accounts: ["john@acme.io"] },
    ]) {
      const { key } = Object((await calls.ask(createApiKey, fields)).message);
      await calls.checkRefused(listAuditEvents, {}, lacking, { key });
    }
    const restricted = { name: "both", scopes: ["admin"], workflows: ["create-task"] };
    await calls.checkRefused(createApiKey, restricted, { ...invalid, text: /scopes/ });
  });
});

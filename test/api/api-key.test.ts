import type { DescMethodUnary, JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ApiKeyService } from "../../src/gen/flowcall/v1/api_key_pb.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { LinkedAccountService } from "../../src/gen/flowcall/v1/linked_account_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { eventually } from "../support/eventually.ts";
import { testKey } from "../support/flowcall.ts";
import { account, aTime, executionCalls, invalid, notFound, unknownId } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { createApiKey, getApiKey, listApiKeys, rotateApiKey, revokeApiKey } = ApiKeyService.method;
const { executeWorkflow, getExecution, getExecutionResponse, listExecutions } = ExecutionService.method;
const { getWorkflow, listWorkflows } = WorkflowService.method;
const { getLinkedAccount, listLinkedAccounts } = LinkedAccountService.method;

const anId = expect.stringMatching(/^[0-9a-f]{24}$/);
const other = "jane@acme.io";

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);

type Made = { readonly id: string; readonly key: string };

/** Makes a key over REST. */
async function make(fields: JsonObject, maker = testKey): Promise<Made> {
  const { reason, text, message } = await ask(createApiKey, { name: "made", scopes: ["read"], ...fields }, maker);
  expect([reason, text]).toEqual([undefined, undefined]);
  const { key, api_key } = Object(message);
  return { id: api_key.id, key };
}

async function ask(method: DescMethodUnary, fields: JsonObject, key: string) {
  const [rest] = calls.protocols;
  if (rest === undefined) {
    throw new Error("there is no REST");
  }
  return await rest.call({ method, fields, key });
}

/** Asks until a key is refused as one that is not known. */
async function untilRefused(key: string): Promise<void> {
  await eventually(async () => expect((await ask(listWorkflows, {}, key)).reason).toBe("INVALID_API_KEY"));
}

test("a key is shown once, works, and is known by its beginning afterwards, alike on every protocol", async () => {
  for (const { name: protocol, call } of calls.protocols) {
    const fields = { name: `for ${protocol}`, scopes: ["execute", "read"], expire_time: "2100-01-01T00:00:00Z" };
    const created = Object((await call({ method: createApiKey, fields, key: testKey })).message);
    const shown = {
      id: anId,
      name: `for ${protocol}`,
      prefix: created.key?.slice(0, 6),
      scopes: ["execute", "read"],
      workflows: [],
      linked_accounts: [],
      create_time: aTime,
      expire_time: "2100-01-01T00:00:00Z",
    };
    expect([protocol, created]).toEqual([
      protocol,
      { api_key: shown, key: expect.stringMatching(/^tk[A-Za-z0-9_-]{40}$/) },
    ]);
    expect((await call({ method: listWorkflows, fields: {}, key: created.key })).reason).toBeUndefined();
    expect((await call({ method: createApiKey, fields, key: created.key })).reason).toBe("SCOPE_MISSING");
    const { id } = created.api_key;
    const found = await call({ method: getApiKey, fields: { api_key_id: id }, key: testKey });
    expect(found.message).toEqual(created.api_key);
    const list = await call({ method: listApiKeys, fields: {}, key: testKey });
    expect(JSON.stringify(list.message)).not.toContain(created.key);
    expect(Object(list.message).api_keys[0]).toEqual(created.api_key);
  }
});

test("a list of keys goes on behind its page", async () => {
  const first = Object((await calls.ask(listApiKeys, { page_size: 1 })).message);
  const second = Object((await calls.ask(listApiKeys, { page_size: 1, page_token: first.next_page_token })).message);
  expect(second.api_keys).toHaveLength(1);
  expect(second.api_keys).not.toEqual(first.api_keys);
});

test("what a key cannot be is refused", async () => {
  for (const scopes of [[], ["everything"], ["read", "read"]]) {
    await calls.checkRefused(createApiKey, { name: "bad", scopes }, invalid);
  }
  await calls.checkRefused(
    createApiKey,
    { name: "bad", scopes: ["read"], expire_time: "2020-01-01T00:00:00Z" },
    { ...invalid, text: /expire_time must be in the future/ },
  );
  await calls.checkRefused(
    createApiKey,
    { name: "bad", scopes: ["admin"], workflows: ["nowhere", "create-task"], linked_accounts: ["nobody@acme.io"] },
    { ...invalid, text: /workflows\[0\].*linked_accounts\[0\].*scopes/ },
  );
  for (const method of [getApiKey, rotateApiKey, revokeApiKey]) {
    await calls.checkRefused(method, { api_key_id: unknownId }, notFound);
  }
});

describe("a key ends", () => {
  test("within five seconds of its being revoked, although it is in use", async () => {
    const { id, key } = await make({});
    expect((await ask(listWorkflows, {}, key)).reason).toBeUndefined();
    const revoked = await calls.ask(revokeApiKey, { api_key_id: id });
    expect(revoked.message).toMatchObject({ id, revoke_time: aTime });
    await untilRefused(key);
    expect((await calls.ask(revokeApiKey, { api_key_id: id })).message).toEqual({ ...Object(revoked.message) });
    const ended = { status: 400, code: "FailedPrecondition", reason: "KEY_ENDED" };
    await calls.checkRefused(rotateApiKey, { api_key_id: id }, ended);
  });

  test("at its time, and a key that it makes no later", async () => {
    const expire_time = new Date(Date.now() + 2_000).toISOString();
    const { key } = await make({ expire_time, scopes: ["read", "admin"] });
    const made = await ask(createApiKey, { name: "child", scopes: ["read"] }, key);
    expect(Date.parse(Object(made.message).api_key.expire_time)).toBe(Date.parse(expire_time));
    await untilRefused(key);
    await untilRefused(Object(made.message).key);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expire_time));
  });

  test("at once where it is rotated, and beside the new one where time is left for that", async () => {
    const { id, key } = await make({});
    const rotate = async (fields: JsonObject): Promise<string> =>
      Object((await calls.ask(rotateApiKey, { api_key_id: id, ...fields })).message).key;
    const second = await rotate({});
    expect((await ask(listWorkflows, {}, key)).reason).toBe("INVALID_API_KEY");
    const third = await rotate({ overlap_seconds: 3600 });
    for (const good of [second, third]) {
      expect((await ask(listWorkflows, {}, good)).reason).toBeUndefined();
    }
    const fourth = await rotate({ overlap_seconds: 1 });
    await untilRefused(third);
    await untilRefused(second);
    expect((await ask(listWorkflows, {}, fourth)).reason).toBeUndefined();
  });
});

describe("no key gives more than its maker has", () => {
  const exceeds = { status: 403, code: "PermissionDenied", reason: "KEY_EXCEEDS_MAKER" };

  test("neither a scope that it has not, nor more time", async () => {
    const maker = await make({ scopes: ["admin", "read"], expire_time: "2100-01-01T00:00:00Z" });
    const key = { key: maker.key };
    await calls.checkRefused(createApiKey, { name: "x", scopes: ["execute", "read"] }, exceeds, key);
    const late = { name: "x", scopes: ["read"], expire_time: "2100-01-01T00:00:01Z" };
    await calls.checkRefused(createApiKey, late, exceeds, key);
    const strong = await make({ scopes: ["execute"], expire_time: "2050-01-01T00:00:00Z" });
    const lasting = await make({ scopes: ["read"] });
    for (const { id } of [strong, lasting]) {
      await calls.checkRefused(rotateApiKey, { api_key_id: id }, exceeds, key);
    }
    for (const good of [strong, lasting]) {
      expect((await ask(getExecution, { execution_id: unknownId }, good.key)).reason).not.toBe("INVALID_API_KEY");
    }
  });
});

describe("a restricted key", () => {
  test("finds its own workflows alone, and what ran of them", async () => {
    const { key } = await make({ scopes: ["execute", "read"], workflows: ["create-task"] });
    const hidden = await calls.start({ workflow: "always-fails" });
    const of = { linked_account_id: account };
    expect((await ask(executeWorkflow, { workflow: "create-task", ...of }, key)).reason).toBeUndefined();
    expect((await ask(executeWorkflow, { workflow: "always-fails", ...of }, key)).reason).toBe("WORKFLOW_NOT_FOUND");
    expect((await ask(getWorkflow, { workflow: "always-fails" }, key)).reason).toBe("WORKFLOW_NOT_FOUND");
    expect((await ask(getExecution, { execution_id: hidden }, key)).reason).toBe("RESOURCE_NOT_FOUND");
    const response = await ask(getExecutionResponse, { execution_id: hidden, ...of }, key);
    expect(response.reason).toBe("RESOURCE_NOT_FOUND");
    const { workflows } = Object((await ask(listWorkflows, {}, key)).message);
    expect(workflows.map(({ alias }: { alias: string }) => alias)).toEqual(["create-task"]);
    const { executions } = Object((await ask(listExecutions, {}, key)).message);
    expect(new Set(executions.map((execution: JsonObject) => execution["workflow_id"]))).toEqual(
      new Set([workflows[0].id]),
    );
  });

  test("finds its own linked accounts alone, and what ran for them", async () => {
    const { key } = await make({ scopes: ["execute", "read"], linked_accounts: [other] });
    const hidden = await calls.start({ linked_account_id: account });
    const own = { workflow: "create-task", linked_account_id: other };
    expect((await ask(executeWorkflow, own, key)).reason).toBeUndefined();
    const refused = await ask(executeWorkflow, { ...own, linked_account_id: account }, key);
    expect(refused.reason).toBe("INVALID_LINKED_ACCOUNT_ID");
    expect((await ask(getExecution, { execution_id: hidden }, key)).reason).toBe("RESOURCE_NOT_FOUND");
    expect((await ask(getLinkedAccount, { account_id: account }, key)).reason).toBe("RESOURCE_NOT_FOUND");
    const { linked_accounts } = Object((await ask(listLinkedAccounts, {}, key)).message);
    expect(linked_accounts.map(({ account_id }: { account_id: string }) => account_id)).toEqual([other]);
    const { executions } = Object((await ask(listExecutions, {}, key)).message);
    expect(new Set(executions.map((execution: JsonObject) => execution["linked_account_id"]))).toEqual(
      new Set([other]),
    );
  });
});

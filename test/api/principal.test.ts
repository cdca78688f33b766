import { expect, test } from "vitest";
import { ApiKeyService } from "../../src/gen/flowcall/v1/api_key_pb.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { PrincipalService } from "../../src/gen/flowcall/v1/principal_pb.ts";
import { productionKey, putWorkflow, testKey } from "../support/flowcall.ts";
import { executionCalls } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { getPrincipal } = PrincipalService.method;
const { createApiKey } = ApiKeyService.method;
const { createWatchToken, executeWorkflow } = ExecutionService.method;

const anId = expect.stringMatching(/^[0-9a-f]{24}$/);
const linked_account_id = "john@acme.io";

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);

const limits = { payload_bytes: 1_048_576, payload_values: 50_000, payload_depth: 24, sync_wait_ms: 50_000 };

test("a key learns what it stands for, alike on every protocol", async () => {
  for (const { name: protocol, call } of calls.protocols) {
    const [first, second] = await Promise.all([
      call({ method: getPrincipal, fields: {}, key: testKey }),
      call({ method: getPrincipal, fields: {}, key: productionKey }),
    ]);
    const all = { organization_id: anId, environment_id: anId, key_id: anId, key_name: expect.any(String), limits };
    const scopes = ["execute", "read", "author", "admin"];
    expect([protocol, first.message]).toEqual([
      protocol,
      { ...all, environment: "test", scopes, workflows: [], linked_accounts: [] },
    ]);
    expect([protocol, second.message]).toMatchObject([protocol, { ...all, environment: "production" }]);
    expect(Object(first.message).environment_id).not.toBe(Object(second.message).environment_id);
  }
});

test.each(["execute", "read", "author", "admin"])("a key with the scope %s alone may ask", async (word) => {
  const { key, api_key } = Object((await calls.ask(createApiKey, { name: `may ${word}`, scopes: [word] })).message);
  const [rest] = calls.protocols;
  const answer = await rest?.call({ method: getPrincipal, fields: {}, key });
  expect(answer?.message).toMatchObject({ key_id: api_key.id, key_name: `may ${word}`, scopes: [word] });
});

test("a key sees its restrictions and its end", async () => {
  const workflow = await putWorkflow(flowcall.url, {
    alias: "only",
    definition: { nodes: [{ id: "1", start: { api_call: {} } }], edges: [] },
  });
  const made = { workflows: [workflow], linked_accounts: [linked_account_id], expire_time: "2100-01-01T00:00:00Z" };
  const { message } = await calls.ask(createApiKey, { name: "narrow", scopes: ["read", "execute"], ...made });
  const [rest] = calls.protocols;
  const answer = await rest?.call({ method: getPrincipal, fields: {}, key: Object(message).key });
  expect(answer?.message).toMatchObject({ key_name: "narrow", scopes: ["execute", "read"], ...made });
});

test("a watch token does not learn whose it is", async () => {
  const { message } = await calls.ask(executeWorkflow, { workflow: "create-task", slug: "asana", linked_account_id });
  const token = await calls.ask(createWatchToken, { execution_id: Object(message).execution_id });
  const url = `${flowcall.url}/api/v1/principal?watch_token=${Object(token.message).watch_token}`;
  const reply = await fetch(url);
  expect([reply.status, Object(await reply.json()).error_code]).toEqual([401, "MISSING_API_KEY"]);
});

import type { DescMethodUnary, JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { IntegrationService } from "../../src/gen/flowcall/v1/integration_pb.ts";
import { LinkedAccountService } from "../../src/gen/flowcall/v1/linked_account_pb.ts";
import { echoDefinition, productionKey, putWorkflow, testKey } from "../support/flowcall.ts";
import { aTime, executionCalls, invalid, notFound } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { listIntegrations } = IntegrationService.method;
const { putLinkedAccount, getLinkedAccount, listLinkedAccounts, deleteLinkedAccount } = LinkedAccountService.method;
const { executeWorkflow, getExecution, rerunExecution, stopExecution } = ExecutionService.method;

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);

describe("a linked account is kept alike on every protocol", () => {
  test("put, looked up, put again and deleted", async () => {
    for (const { name: protocol, call } of calls.protocols) {
      const account_id = `Zoë+${protocol}/1@acme.io`;
      const send = (method: DescMethodUnary, rest: JsonObject = {}) =>
        call({ method, fields: { account_id, ...rest }, key: testKey });
      const created = await send(putLinkedAccount, { name: "Zoë", attributes: { team: ["red", null] } });
      const account = { account_id, name: "Zoë", attributes: { team: ["red", null] }, etag: '"1"' };
      expect([protocol, created.message]).toEqual([protocol, { ...account, create_time: aTime, update_time: aTime }]);
      expect((await send(getLinkedAccount)).message).toEqual(created.message);

      const changed = await send(putLinkedAccount, { attributes: {}, etag: '"1"' });
      expect(changed.message).toMatchObject({ etag: '"2"', attributes: {} });
      expect(changed.message).not.toHaveProperty("name");
      expect((await send(putLinkedAccount, { etag: '"1"' })).reason).toBe("ETAG_MISMATCH");

      expect((await send(deleteLinkedAccount)).message).toEqual({});
      for (const method of [getLinkedAccount, deleteLinkedAccount]) {
        expect([protocol, (await send(method)).reason]).toEqual([protocol, "RESOURCE_NOT_FOUND"]);
      }
      expect((await send(putLinkedAccount, { etag: '"3"' })).reason).toBe("ETAG_MISMATCH");
    }
  });

  test("an id that no header could carry, and attributes without a bound, are refused", async () => {
    for (const account_id of [" a", "a ", "a\tb", "a\nb", "x".repeat(257)]) {
      await calls.checkRefused(putLinkedAccount, { account_id }, invalid);
    }
    const tooLarge = { status: 413, code: "ResourceExhausted", reason: "PAYLOAD_TOO_LARGE" };
    await calls.checkRefused(putLinkedAccount, { account_id: "a", attributes: { a: "x".repeat(65_536) } }, tooLarge);
  });
});

test("a list has each account of its environment once, in pages, without attributes", async () => {
  for (const account_id of ["page-a", "page-b", "page-c"]) {
    await calls.ask(putLinkedAccount, { account_id });
  }
  const accounts: JsonObject[] = [];
  let page_token: string | undefined;
  do {
    const fields = { page_size: 2, ...(page_token !== undefined && { page_token }) };
    const page = Object((await calls.ask(listLinkedAccounts, fields)).message);
    accounts.push(...page.linked_accounts);
    page_token = page.next_page_token;
  } while (page_token !== undefined);
  const ids = accounts.map((account) => String(account["account_id"]));
  expect(ids).toEqual([...new Set(ids)].sort());
  expect(ids).toEqual(expect.arrayContaining(["jane@acme.io", "john@acme.io", "page-a", "page-b", "page-c"]));
  expect(accounts.filter((account) => "attributes" in account)).toEqual([]);
  await calls.checkRefused(getLinkedAccount, { account_id: "page-a" }, notFound, { key: productionKey });
  const { next_page_token } = Object((await calls.ask(listIntegrations, { page_size: 1 })).message);
  expect(next_page_token).toBeDefined();
  await calls.checkRefused(listLinkedAccounts, { page_token: next_page_token }, invalid);
});

test("workflows run for an account as soon as it is put, with the attributes that it has then", async () => {
  await putWorkflow(flowcall.url, { alias: "team", definition: echoDefinition("{{linked_account.team}}") });
  const call = { workflow: "team", linked_account_id: "new@acme.io", sync_execution: true };
  expect((await calls.ask(executeWorkflow, call)).reason).toBe("INVALID_LINKED_ACCOUNT_ID");
  for (const team of ["red", "blue"]) {
    await calls.ask(putLinkedAccount, { account_id: "new@acme.io", attributes: { team } });
    expect((await calls.ask(executeWorkflow, call)).message).toMatchObject({ return_value: team });
  }
});

test("an account is not deleted while executions run for it; then nothing new runs, and what ran stays readable", async () => {
  const account_id = "leaving@acme.io";
  const of = { linked_account_id: account_id };
  await calls.ask(putLinkedAccount, { account_id, name: "Leaving", attributes: { secret: "in-the-past" } });
  const execution_id = await calls.start({ workflow: "slow-task", ...of });
  const inUse = { status: 400, code: "FailedPrecondition", reason: "LINKED_ACCOUNT_IN_USE" };
  await calls.checkRefused(deleteLinkedAccount, { account_id }, inUse);
  expect((await calls.ask(stopExecution, { execution_id })).message).toMatchObject({ state: "STOPPED" });

  expect((await calls.ask(deleteLinkedAccount, { account_id })).message).toEqual({});
  expect((await calls.ask(getExecution, { execution_id, ...of })).message).toMatchObject({ state: "STOPPED" });
  expect((await calls.ask(executeWorkflow, { workflow: "create-task", ...of })).reason).toBe(
    "INVALID_LINKED_ACCOUNT_ID",
  );
  expect((await calls.ask(rerunExecution, { execution_id })).reason).toBe("INVALID_LINKED_ACCOUNT_ID");

  const { message } = await calls.ask(putLinkedAccount, { account_id });
  expect(message).toMatchObject({ attributes: {} });
  expect(message).not.toHaveProperty("name");
  expect((await calls.ask(rerunExecution, { execution_id })).reason).toBeUndefined();
});

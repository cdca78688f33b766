import type { DescMethodUnary, JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ConnectionService } from "../../src/gen/flowcall/v1/connection_pb.ts";
import { LinkedAccountService } from "../../src/gen/flowcall/v1/linked_account_pb.ts";
import { startFlowcall, testKey } from "../support/flowcall.ts";
import { account, aTime, executionCalls, invalid, notFound } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { putConnection, getConnection, listConnections, deleteConnection } = ConnectionService.method;
const { putLinkedAccount, deleteLinkedAccount } = LinkedAccountService.method;

const secrets = { api_key: "sk-live-0123456789abcdef-wxyz", pin: "4711-4712" };

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);

describe("credentials go in and never come out, alike on every protocol", () => {
  test("put, shown by name and end, put again and deleted", async () => {
    for (const { name: protocol, call } of calls.protocols) {
      const account_id = `of ${protocol}`;
      await calls.ask(putLinkedAccount, { account_id });
      const replies: string[] = [];
      const send = async (method: DescMethodUnary, rest: JsonObject = {}) => {
        const fields = method === listConnections ? { account_id } : { account_id, slug: "asana", ...rest };
        const { message, reason } = await call({ method, fields, key: testKey });
        replies.push(JSON.stringify(message));
        return { message, reason };
      };
      const created = await send(putConnection, { credentials: secrets });
      const connection = {
        account_id,
        slug: "asana",
        credentials: [{ name: "api_key", hint: "…wxyz" }, { name: "pin" }],
        etag: '"1"',
        create_time: aTime,
        update_time: aTime,
      };
      expect([protocol, created.message]).toEqual([protocol, connection]);
      expect((await send(getConnection)).message).toEqual(created.message);
      expect((await send(listConnections)).message).toEqual({ connections: [created.message] });
      const changed = await send(putConnection, { credentials: { token: secrets.pin }, etag: '"1"' });
      expect(changed.message).toMatchObject({ credentials: [{ name: "token" }], etag: '"2"' });
      expect((await send(putConnection, { credentials: secrets, etag: '"1"' })).reason).toBe("ETAG_MISMATCH");
      expect((await send(deleteConnection)).message).toEqual({});
      expect((await send(getConnection)).reason).toBe("RESOURCE_NOT_FOUND");
      expect((await send(deleteConnection)).reason).toBe("RESOURCE_NOT_FOUND");
      for (const secret of Object.values(secrets)) {
        expect(replies.join()).not.toContain(secret);
      }
    }
  });

  test("for accounts and integrations that there are", async () => {
    const credentials = { token: "a token of one" };
    await calls.checkRefused(putConnection, { account_id: "nobody", slug: "asana", credentials }, notFound);
    const noIntegration = { status: 404, code: "NotFound", reason: "INTEGRATION_NOT_FOUND" };
    await calls.checkRefused(putConnection, { account_id: account, slug: "jira", credentials }, noIntegration);
    for (const bad of [
      {},
      { "": "a token of one" },
      { "a b": "a token of one" },
      { a: "" },
      { a: "7 chars" },
      { a: " padded " },
    ]) {
      await calls.checkRefused(putConnection, { account_id: account, slug: "asana", credentials: bad }, invalid);
    }
    const tooLarge = { status: 413, code: "ResourceExhausted", reason: "PAYLOAD_TOO_LARGE" };
    const large = { account_id: account, slug: "asana", credentials: { token: "x".repeat(65_536) } };
    await calls.checkRefused(putConnection, large, tooLarge);
  });

  test("credentials are deleted with their account", async () => {
    const account_id = "ending@acme.io";
    await calls.ask(putLinkedAccount, { account_id });
    await calls.ask(putConnection, { account_id, slug: "asana", credentials: secrets });
    await calls.ask(deleteLinkedAccount, { account_id });
    const { rows } = await flowcall.database.query(`select 1 from connection where account_id = '${account_id}'`);
    expect(rows).toEqual([]);
  });
});

test("a service without encryption keys takes no credentials", async () => {
  const keyless = await startFlowcall({ FLOWCALL_ENCRYPTION_KEYS: "" });
  try {
    const missing = { status: 400, code: "FailedPrecondition", reason: "ENCRYPTION_KEYS_MISSING" };
    const fields = { account_id: account, slug: "asana", credentials: secrets };
    await executionCalls(keyless.url).checkRefused(putConnection, fields, missing);
  } finally {
    await keyless.stop();
  }
});

import { expect, test } from "vitest";
import { VariableService } from "../../src/gen/flowcall/v1/variable_pb.ts";
import { testKey } from "../support/flowcall.ts";
import { aTime, executionCalls, invalid, notFound } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { putVariable, listVariables, deleteVariable } = VariableService.method;

const flowcall = await useFlowcall({ FLOWCALL_VARIABLES_MAX: "5" });
const calls = executionCalls(flowcall.url);
const value = "a-secret-of-this-test-wxyz";

test("a secret variable goes in and never comes out, on every protocol", async () => {
  const replies: string[] = [];
  for (const { name: protocol, call } of calls.protocols) {
    const name = `KEY_${protocol.replace(/[^A-Za-z]/g, "_")}`;
    const put = await call({ method: putVariable, fields: { name, value, hosts: ["*.example.com"] }, key: testKey });
    const times = { create_time: aTime, update_time: aTime };
    const kept = { name, is_secret: true, hint: "…wxyz", hosts: ["*.example.com"], etag: '"1"', ...times };
    expect([protocol, put.message]).toEqual([protocol, kept]);
    const plain = { name, value: "plain", is_secret: false, etag: '"1"' };
    const changed = await call({ method: putVariable, fields: plain, key: testKey });
    expect(changed.message).toMatchObject({ name, value: "plain", etag: '"2"' });
    expect((await call({ method: putVariable, fields: plain, key: testKey })).reason).toBe("ETAG_MISMATCH");
    await call({ method: putVariable, fields: { name, value, hosts: ["*"] }, key: testKey });
    const listed = await call({ method: listVariables, fields: {}, key: testKey });
    expect(listed.message).toMatchObject({ variables: [{ name, is_secret: true, hosts: ["*"] }] });
    replies.push(JSON.stringify([put.message, changed.message, listed.message]));
    expect((await call({ method: deleteVariable, fields: { name }, key: testKey })).reason).toBeUndefined();
    expect((await call({ method: deleteVariable, fields: { name }, key: testKey })).reason).toBe(notFound.reason);
  }
  expect(replies.join()).not.toContain(value);
});

test("what could not be sent, or not be kept out of outputs, is refused, and so are too many", async () => {
  const bad = [
    { value: "short", hosts: ["*"] },
    { value },
    { value, hosts: ["*.com"] },
    { value, hosts: ["*"], is_secret: false },
  ];
  for (const fields of bad) {
    await calls.checkRefused(putVariable, { name: "BAD", ...fields }, invalid);
  }
  await calls.checkRefused(putVariable, { name: "1 a", value, hosts: ["*"] }, invalid);
  for (const name of ["A", "B", "C", "D", "E"]) {
    expect((await calls.ask(putVariable, { name, value: "v", is_secret: false })).reason).toBeUndefined();
  }
  const full = { status: 429, code: "ResourceExhausted", reason: "VARIABLES_FULL" };
  await calls.checkRefused(putVariable, { name: "F", value: "v", is_secret: false }, full);
  expect((await calls.ask(putVariable, { name: "E", value: "w", is_secret: false })).reason).toBeUndefined();
  const { rows } = await flowcall.database.query("select value, sealed from variable where sealed is not null");
  expect(rows).toEqual([]);
});

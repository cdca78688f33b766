import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ApiKeyService } from "../../src/gen/flowcall/v1/api_key_pb.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { echoDefinition, productionKey, putWorkflow, testKey } from "../support/flowcall.ts";
import { type ApiAnswer, type ApiCall, protocolsOf } from "./protocols.ts";
import { useFlowcall } from "./use-flowcall.ts";

const account = "john@acme.io";

const flowcall = await useFlowcall();
const protocols = protocolsOf(flowcall.url);
let keys = 0;

function execute(fields: JsonObject, rest: Partial<ApiCall> = {}): ApiCall {
  const all = { workflow: "create-task", linked_account_id: account, payload: { a: 1, b: [2] }, ...fields };
  return { method: ExecutionService.method.executeWorkflow, key: testKey, ...rest, fields: all };
}

function newKey(): string {
  keys += 1;
  return `key-${keys}`;
}

async function call(request: ApiCall, index = 0): Promise<ApiAnswer> {
  const protocol = protocols[index % protocols.length];
  if (protocol === undefined) {
    throw new Error("there is no protocol");
  }
  return protocol.call(request);
}

function idOf({ headers }: ApiAnswer): string | null {
  return headers.get("x-execution-id");
}

function isReplayed({ headers }: ApiAnswer): boolean {
  return headers.get("idempotent-replayed") === "true";
}

async function countExecutions(): Promise<number> {
  const { rows } = await flowcall.database.query("select count(*)::int as count from execution");
  return Number(rows[0]?.["count"]);
}

/** Lets an execution have ended so long ago. */
async function age(answer: ApiAnswer, hours: number): Promise<void> {
  await flowcall.database.query(`
    alter table execution disable trigger execution_is_final;
    update execution set end_time = now() - interval '${hours} hours' where id = '${idOf(answer)}';
    alter table execution enable trigger execution_is_final`);
}

describe("calls with one idempotency key are one execution", () => {
  test.each([
    ["synchronous", { sync_execution: true }],
    ["asynchronous", {}],
  ])("50 %s calls that race over all protocols", async (_, fields) => {
    const before = await countExecutions();
    const request = execute({ ...fields, idempotency_key: newKey() });
    const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => call(request, index)));
    expect(new Set(answers.map(({ message }) => JSON.stringify(message))).size).toBe(1);
    expect(answers.map(({ reason }) => reason)).toEqual(answers.map(() => undefined));
    expect(answers.filter(isReplayed)).toHaveLength(49);
    expect(await countExecutions()).toBe(before + 1);
  });

  test("a repeat is answered as the first call was, a failure too", async () => {
    const request = execute({ workflow: "always-fails", sync_execution: true, idempotency_key: newKey() });
    const first = await call(request);
    for (const index of protocols.keys()) {
      const again = await call(request, index);
      expect([idOf(again), isReplayed(again)]).toEqual([idOf(first), true]);
      expect(again.headers.get("x-execution-status")).toBe("ERRORED");
      if (index === 0) {
        expect(again.status).toBe(500);
      }
    }
  });

  test.each([
    ["create-task", "COMPLETED"],
    ["always-fails", "ERRORED"],
    ["slow-task", "RUNNING"],
  ])("an asynchronous repeat of %s says how the execution stands", async (workflow, status) => {
    const request = execute({ workflow, idempotency_key: newKey() });
    const executionId = idOf(await call(request));
    if (status !== "RUNNING") {
      const fields = { execution_id: executionId, linked_account_id: account, wait: 20 };
      await call({ method: ExecutionService.method.getExecutionResponse, key: testKey, fields }, 5);
    }
    for (const index of protocols.keys()) {
      const again = await call(request, index);
      expect([again.message, isReplayed(again)]).toEqual([{ execution_id: executionId }, true]);
      expect(again.headers.get("x-execution-status")).toBe(status);
    }
  });

  test("a synchronous repeat of an asynchronous call waits for its end", async () => {
    const idempotency_key = newKey();
    const first = await call(execute({ workflow: "slow-task", idempotency_key }));
    const again = await call(execute({ workflow: "slow-task", sync_execution: true, idempotency_key }), 5);
    expect([idOf(again), isReplayed(again)]).toEqual([idOf(first), true]);
    expect(again.message).toMatchObject({ return_value: { message: "Waited for 2 seconds." } });
  });

  test("the order of members, the way of waiting, the version and the tag make no difference", async () => {
    const idempotency_key = newKey();
    const first = await call(execute({ idempotency_key, sync_execution: true }));
    const payload = { b: [2], a: 1 };
    const again = await call(execute({ idempotency_key, payload, wait: 5, workflow_version: 1, tag: "x" }));
    expect([idOf(again), isReplayed(again)]).toEqual([idOf(first), true]);
  });

  test("the bare value and the quoted string are one key", async () => {
    const key = newKey();
    const first = await call(execute({}, { headers: [["idempotency-key", key]] }));
    for (const index of protocols.keys()) {
      const again = await call(execute({}, { headers: [["Idempotency-Key", `"${key}"`]] }), index);
      expect([idOf(again), isReplayed(again)]).toEqual([idOf(first), true]);
    }
  });

  test("another account and another environment have keys of their own", async () => {
    const idempotency_key = newKey();
    const first = await call(execute({ idempotency_key }));
    const others = [
      await call(execute({ idempotency_key, linked_account_id: "jane@acme.io" })),
      await call(execute({ idempotency_key }, { key: productionKey })),
    ];
    expect(others.map(isReplayed)).toEqual([false, false]);
    expect(new Set([first, ...others].map(idOf)).size).toBe(3);
  });
});

describe("a key that does not fit is refused on every protocol, and nothing is accepted", () => {
  async function checkRefused(request: ApiCall, reason: string, status: number, text: RegExp): Promise<void> {
    const before = await countExecutions();
    for (const [index, { name }] of protocols.entries()) {
      const answer = await call(request, index);
      expect([name, answer.reason]).toEqual([name, reason]);
      expect(answer.text).toMatch(text);
      if (name === "REST") {
        expect(answer.status).toBe(status);
      }
    }
    expect(await countExecutions()).toBe(before);
  }

  test.each([
    ["payload", { payload: { a: 2, b: [2] } }],
    ["payload's order of items", { payload: { a: 1, b: { 0: 2 } } }],
    ["workflow", { workflow: "slow-task" }],
    ["config_id", { config_id: "another" }],
  ])("for another %s", async (_, fields) => {
    const idempotency_key = newKey();
    const first = await call(execute({ idempotency_key }));
    const text = new RegExp(idOf(first) ?? "none");
    await checkRefused(execute({ idempotency_key, ...fields }), "IDEMPOTENCY_KEY_REUSED", 409, text);
  });

  test.each(["a b", "ä", "x".repeat(256)])("since it is malformed: %s", async (idempotency_key) => {
    await checkRefused(execute({ idempotency_key }), "VALIDATION_ERROR", 400, /idempotency_key/);
  });

  test.each(["", '""', '"open', '"a"b', '"k";a=1'])("since its header is malformed: %s", async (value) => {
    const request = execute({}, { headers: [["idempotency-key", value]] });
    await checkRefused(request, "VALIDATION_ERROR", 400, /idempotency_key/);
  });

  test("a refused call binds no key", async () => {
    const idempotency_key = newKey();
    await checkRefused(execute({ idempotency_key, workflow_version: 99 }), "WORKFLOW_VERSION_NOT_FOUND", 404, /99/);
    expect(isReplayed(await call(execute({ idempotency_key })))).toBe(false);
  });
});

describe("a repeat is answered as the first call was, whatever has become of the workflow since", () => {
  const payload = { a: 1 };
  const trigger = (schema: JsonObject): JsonObject => ({ api_call: { schema } });
  const stricter = echoDefinition('"later"', trigger({ type: "object", required: ["b"] }));
  const grouped = {
    nodes: [
      { id: "1", start: { api_call: {} } },
      { id: "2", group: { count: "1", output: "1" } },
    ],
    edges: [{ source: "1", target: "2" }],
  };

  const author = async (name: keyof typeof WorkflowService.method, fields: JsonObject): Promise<void> => {
    expect((await call({ method: WorkflowService.method[name], key: testKey, fields })).reason).toBeUndefined();
  };
  const publish = async (workflow: string, definition: JsonObject): Promise<void> => {
    await author("saveDraft", { workflow, definition });
    await author("publishWorkflow", { workflow });
  };

  test.each([
    ["is stricter", "PAYLOAD_INVALID", (workflow: string) => publish(workflow, stricter)],
    ["has a Group", "SYNC_NOT_ALLOWED_WITH_GROUP", (workflow: string) => publish(workflow, grouped)],
    [
      "has another trigger",
      "WORKFLOW_HAS_OTHER_TRIGGER",
      (workflow: string) => publish(workflow, echoDefinition("1", {})),
    ],
    ["is unpublished", "WORKFLOW_NOT_PUBLISHED", (workflow: string) => author("unpublishWorkflow", { workflow })],
    ["is deleted", "WORKFLOW_NOT_FOUND", (workflow: string) => author("deleteWorkflow", { workflow })],
  ] as const)("it %s", async (_, reason, change) => {
    const alias = `repeated-${newKey()}`;
    const definition = echoDefinition('"first"');
    const workflow = await putWorkflow(flowcall.url, { alias, definition });
    const request = execute({ workflow, payload, sync_execution: true, idempotency_key: newKey() });
    const first = await call(request);
    expect(first.message).toMatchObject({ return_value: "first" });
    await change(workflow);
    const before = await countExecutions();
    for (const index of protocols.keys()) {
      const again = await call(request, index);
      expect([again.message, isReplayed(again)]).toEqual([first.message, true]);
      const refused = [
        await call(execute({ ...request.fields, idempotency_key: newKey() }), index),
        await call(execute({ ...request.fields, payload: { a: 2 } }), index),
        await call(execute({ ...request.fields, linked_account_id: "jane@acme.io" }), index),
      ];
      expect(refused.map((answer) => answer.reason)).toEqual([reason, reason, reason]);
    }
    expect(await countExecutions()).toBe(before);
    await age(first, 24.1);
    expect((await call(request)).reason).toBe(reason);
  });

  test("a repeat by the alias of a deleted workflow is refused, since the alias finds nothing", async () => {
    const alias = `repeated-${newKey()}`;
    const workflow = await putWorkflow(flowcall.url, { alias, definition: echoDefinition("1") });
    const request = execute({ workflow: alias, payload, idempotency_key: newKey() });
    await call(request);
    await author("unpublishWorkflow", { workflow });
    expect(isReplayed(await call(request))).toBe(true);
    await author("deleteWorkflow", { workflow });
    expect((await call(request)).reason).toBe("WORKFLOW_NOT_FOUND");
  });
});

test("a key that is restricted to workflows learns no id of an execution of another one", async () => {
  const workflow = await putWorkflow(flowcall.url, { alias: "only-this", definition: echoDefinition("1") });
  const created = await call({
    method: ApiKeyService.method.createApiKey,
    key: testKey,
    fields: { name: "restricted", scopes: ["execute"], workflows: [workflow] },
  });
  const key = String(Object(created.message).key);
  for (const index of protocols.keys()) {
    const [own, others] = [newKey(), newKey()];
    const first = await call(execute({ idempotency_key: others }));
    const refused = await call(execute({ workflow, idempotency_key: others }, { key }), index);
    expect(refused.reason).toBe("IDEMPOTENCY_KEY_REUSED");
    expect(JSON.stringify([refused, [...refused.headers]])).not.toContain(idOf(first));
    const mine = await call(execute({ workflow, idempotency_key: own }, { key }));
    const told = await call(execute({ workflow, payload: {}, idempotency_key: own }, { key }), index);
    expect([told.reason, told.text]).toEqual(["IDEMPOTENCY_KEY_REUSED", expect.stringContaining(idOf(mine) ?? "none")]);
  }
});

test("a key is free again 24 hours after the end of its execution, and not before", async () => {
  const request = execute({ sync_execution: true, idempotency_key: newKey() });
  const first = await call(request);
  await age(first, 23.9);
  expect(isReplayed(await call(request))).toBe(true);
  await age(first, 24.1);
  const again = await call(request);
  expect([isReplayed(again), idOf(again) === idOf(first)]).toEqual([false, false]);
});

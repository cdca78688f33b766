import type { JsonObject } from "@bufbuild/protobuf";
import { pino } from "pino";
import { expect, test } from "vitest";
import { ApiKeyService } from "../../src/gen/flowcall/v1/api_key_pb.ts";
import { ConnectionService } from "../../src/gen/flowcall/v1/connection_pb.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { LinkedAccountService } from "../../src/gen/flowcall/v1/linked_account_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { type Flowcall, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";
import { account, executionCalls } from "./execution-calls.ts";

/** Start → a hidden node that makes a secret of a number → Delay, which commits what there is → Response without it. */
const hiding: JsonObject = {
  nodes: [
    { id: "1", start: { api_call: {} } },
    {
      id: "2",
      settings: { hide_node_request: true },
      transform: { query: '$join(["hidden", $string({{event.body.n}} * 7919), "value"], "-")' },
    },
    { id: "3", delay: { seconds: "1.2" } },
    { id: "4", response: { data: '{"length": 1}' } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3" },
    { source: "3", target: "4" },
  ],
};

/** Every row of every table as text. */
async function dump({ database }: Flowcall): Promise<string> {
  const { rows } = await database.query("select tablename as name from pg_tables where schemaname = 'public'");
  const tables = await Promise.all(
    rows.map(async ({ name }) => (await database.query(`select t::text as row from "${name}" t`)).rows),
  );
  return tables.flatMap((table) => table.map(({ row }) => String(row))).join("\n");
}

test("of 50 secrets none stands in the database or in the log", { timeout: 60_000 }, async () => {
  const log: string[] = [];
  const flowcall = await startFlowcall({}, pino({ level: "debug" }, { write: (line) => log.push(line) }));
  try {
    const calls = executionCalls(flowcall.url);
    const secrets: string[] = [];
    for (let index = 0; index < 20; index += 1) {
      const secret = `credential-${index}-of-this-account`;
      const account_id = `account-${index}`;
      await calls.ask(LinkedAccountService.method.putLinkedAccount, { account_id });
      const { putConnection } = ConnectionService.method;
      const put = await calls.ask(putConnection, { account_id, slug: "asana", credentials: { token: secret } });
      expect(put.reason).toBeUndefined();
      secrets.push(secret);
    }
    for (let index = 0; index < 10; index += 1) {
      const { createApiKey, rotateApiKey } = ApiKeyService.method;
      const { key, api_key } = Object((await calls.ask(createApiKey, { name: "key", scopes: ["read"] })).message);
      const rotated = Object((await calls.ask(rotateApiKey, { api_key_id: api_key.id, overlap_seconds: 60 })).message);
      const [rest] = calls.protocols;
      for (const text of [key, rotated.key]) {
        const answer = await rest?.call({ method: WorkflowService.method.listWorkflows, fields: {}, key: text });
        expect(answer?.reason).toBeUndefined();
        secrets.push(text);
      }
    }
    await putWorkflow(flowcall.url, { alias: "hiding", definition: hiding });
    const numbers = Array.from({ length: 10 }, (_, index) => index + 1_000);
    const started = await Promise.all(numbers.map((n) => calls.start({ workflow: "hiding", payload: { n } })));
    secrets.push(...numbers.map((n) => `hidden-${n * 7919}-value`));
    const search = async () => {
      const text = `${await dump(flowcall)}\n${log.join("\n")}`;
      const forms = (secret: string) => [secret, Buffer.from(secret).toString("base64"), JSON.stringify(secret)];
      expect(secrets.filter((secret) => forms(secret).some((form) => text.includes(form)))).toEqual([]);
      return text;
    };
    expect(secrets).toHaveLength(50);
    // Once while what is hidden is kept sealed, and once when it is over.
    await search();
    for (const execution_id of started) {
      const fields = { execution_id, linked_account_id: account, wait: 10 };
      await calls.until(ExecutionService.method.getExecutionResponse, fields, { status: "COMPLETED" });
    }
    const text = await search();
    // What was searched is what is there.
    const shown = ["account-7", started[3] ?? "none", "call answered", "1003}"];
    expect(shown.filter((one) => !text.includes(one))).toEqual([]);
    expect(text.includes(testKey)).toBe(false);
  } finally {
    await flowcall.stop();
  }
});

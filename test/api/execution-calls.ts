import type { DescMethodUnary, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { expect } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { until } from "../support/eventually.ts";
import { testKey } from "../support/flowcall.ts";
import { type ApiAnswer, protocolsOf } from "./protocols.ts";

export const account = "john@acme.io";
export const payload = { "Task Name": "Sample task", Assigned_to: "John Doe" };
export const unknownId = "0123456789abcdef01234567";
export const aTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);

export type Refusal = {
  readonly status: number;
  readonly code: string;
  readonly reason: string;
  readonly text?: RegExp;
};

export const notFound: Refusal = { status: 404, code: "NotFound", reason: "RESOURCE_NOT_FOUND" };
export const invalid: Refusal = { status: 400, code: "InvalidArgument", reason: "VALIDATION_ERROR" };

export type ExecutionCalls = ReturnType<typeof executionCalls>;

/** Calls about executions of the service at `url`, as the tests of this folder make them. */
export function executionCalls(url: string) {
  const protocols = protocolsOf(url);

  const everywhere = (method: DescMethodUnary, fields: JsonObject, key = testKey) =>
    Promise.all(protocols.map(async ({ name, call }) => ({ name, answer: await call({ method, fields, key }) })));

  /** One call, over REST. */
  const ask = async (method: DescMethodUnary, fields: JsonObject): Promise<ApiAnswer> => {
    const [rest] = protocols;
    if (rest === undefined) {
      throw new Error("there is no REST");
    }
    return rest.call({ method, fields, key: testKey });
  };

  return {
    protocols,
    ask,

    /** Each protocol answers a message that matches. */
    check: async (method: DescMethodUnary, fields: JsonObject, expected: JsonObject): Promise<void> => {
      for (const { name, answer } of await everywhere(method, fields)) {
        expect([name, answer.reason, answer.message]).toEqual([name, undefined, expected]);
      }
    },

    /** Each protocol refuses. */
    checkRefused: async (
      method: DescMethodUnary,
      fields: JsonObject,
      refusal: Refusal,
      { key = testKey }: { readonly key?: string } = {},
    ): Promise<void> => {
      for (const { name, answer } of await everywhere(method, fields, key)) {
        expect([name, answer.reason]).toEqual([name, refusal.reason]);
        expect([name, answer.status ?? answer.code]).toEqual([name, name === "REST" ? refusal.status : refusal.code]);
        if (refusal.text !== undefined) {
          expect([name, answer.text]).toEqual([name, expect.stringMatching(refusal.text)]);
        }
      }
    },

    /** Starts an execution and answers its id; waits for its end where the call is synchronous. */
    start: async (fields: JsonObject = {}): Promise<string> => {
      const all = { workflow: "create-task", linked_account_id: account, payload, ...fields };
      const { headers } = await ask(ExecutionService.method.executeWorkflow, all);
      return headers.get("x-execution-id") ?? "";
    },

    /** Asks again until the answer is as wanted: the only way to learn of what goes on in the service. */
    until: async (method: DescMethodUnary, fields: JsonObject, wanted: JsonObject): Promise<void> => {
      await until(JSON.stringify(wanted), async () => matches((await ask(method, fields)).message, wanted));
    },
  };
}

function matches(message: JsonValue | undefined, wanted: JsonObject): boolean {
  const fields = typeof message === "object" && message !== null && !Array.isArray(message) ? message : {};
  return Object.entries(wanted).every(([name, value]) => JSON.stringify(fields[name]) === JSON.stringify(value));
}

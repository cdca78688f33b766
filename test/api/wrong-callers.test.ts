import {
  type DescField,
  type DescMethod,
  type DescMethodUnary,
  getOption,
  type JsonObject,
  type JsonValue,
} from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "../../src/domain/id.ts";
import { keyTextOf, scopeWord, scopeWords } from "../../src/domain/keys/api-key.ts";
import { ApiKeyService } from "../../src/gen/flowcall/v1/api_key_pb.ts";
import { ConfigService } from "../../src/gen/flowcall/v1/config_pb.ts";
import { ConnectionService } from "../../src/gen/flowcall/v1/connection_pb.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { IntegrationService } from "../../src/gen/flowcall/v1/integration_pb.ts";
import { LinkedAccountService } from "../../src/gen/flowcall/v1/linked_account_pb.ts";
import { Scope, scope } from "../../src/gen/flowcall/v1/options_pb.ts";
import { ScheduleService } from "../../src/gen/flowcall/v1/schedule_pb.ts";
import { VariableService } from "../../src/gen/flowcall/v1/variable_pb.ts";
import { WebhookService } from "../../src/gen/flowcall/v1/webhook_pb.ts";
import { type Flowcall, productionKey, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";
import { protoMethods } from "../support/protos.ts";
import { type ExecutionCalls, executionCalls } from "./execution-calls.ts";
import { type ApiAnswer, type ApiProtocol, protocolsOf } from "./protocols.ts";
import { type WatchProtocol, WatchRefused, watchProtocolsOf } from "./watch-protocols.ts";

/*
 * Every method, called by everybody who may not, over every protocol. The methods and their requests are read from the
 * protos: a new one is tried here without a line of code, but where it has a field of a name that is new.
 */

const account = "canary-account@acme.io";
const slug = "canary-slug";

/** What only the right caller may see, by what it belongs to. */
const canaries = {
  workflow: ["canary-workflow-name", "canary-alias", "canary-description", "canary-workflow-value"],
  execution: ["canary-payload"],
  account: [
    "canary-person",
    "canary-attribute",
    "canary_credential",
    "canary-application-value",
    "canary-config",
    "canary-schedule",
    "canary-hook.invalid",
  ],
  key: ["canary-key-name"],
  integration: ["canary-integration", "canary-variable"],
};

type Owner = keyof typeof canaries;

type Caller = {
  readonly name: string;
  readonly headers: readonly (readonly [string, string])[];
  /** How the gate refuses it; absent where it lets it through. */
  readonly reasons?: readonly string[];
  /** Whether it is its header that is odd. Then two protocols, of both versions of HTTP, are enough. */
  readonly isOdd?: boolean;
  /** Whether its key is of the right form and works no more. Then each method is called over two of the protocols by turns. */
  readonly isDead?: boolean;
  /** What it must not see although it is let through; everything where it is not said. */
  readonly hidden?: readonly Owner[];
};

let flowcall: Flowcall;
let calls: ExecutionCalls;
let methods: readonly DescMethod[];
let protocols: readonly ApiProtocol[];
let watchProtocols: readonly WatchProtocol[];
let victim: Readonly<Record<string, JsonValue>>;
/** The ids that are made here, by what they belong to. */
const ids: Record<Owner, string[]> = { workflow: [], execution: [], account: [], key: [], integration: [] };
let tried = 0;

beforeAll(async () => {
  flowcall = await startFlowcall();
  calls = executionCalls(flowcall.url);
  methods = await protoMethods();
  protocols = protocolsOf(flowcall.url);
  watchProtocols = watchProtocolsOf(flowcall.url);
  await makeVictim();
}, 60_000);

afterAll(async () => flowcall?.stop());

async function makeVictim(): Promise<void> {
  const { createIntegration } = IntegrationService.method;
  const fields = [{ name: "Region", type: "STRING" }];
  await calls.ask(createIntegration, { slug, name: "canary-integration", fields });
  const { putLinkedAccount } = LinkedAccountService.method;
  await calls.ask(putLinkedAccount, {
    account_id: account,
    name: "canary-person",
    attributes: { a: "canary-attribute" },
  });
  const { putConnection } = ConnectionService.method;
  await calls.ask(putConnection, { account_id: account, slug, credentials: { canary_credential: "a secret of one" } });
  const workflow = await putWorkflow(flowcall.url, { alias: "canary-alias", slug, definition });
  await flowcall.database.query(
    `update workflow set name = 'canary-workflow-name', description = 'canary-description' where id = '${workflow}'`,
  );
  await calls.ask(ConfigService.method.putConfig, {
    account_id: account,
    slug,
    application_fields: { Region: "canary-application-value" },
    workflow_fields: { [workflow]: { due: "canary-workflow-value" } },
  });
  const { putConfig } = ConfigService.method;
  await calls.ask(putConfig, { account_id: account, slug, config_id: "canary-config" });
  const { putVariable } = VariableService.method;
  await calls.ask(putVariable, { name: "of_the_victim", value: "canary-variable", is_secret: false });
  const { putSchedule } = ScheduleService.method;
  const schedule_id = "canary-schedule";
  const times = ["2100-01-01T00:00:00Z"];
  await calls.ask(putSchedule, { schedule_id, workflow, linked_account_id: account, times });
  const { putWebhookEndpoint, listWebhookDeliveries } = WebhookService.method;
  const endpoint_id = "canary-endpoint";
  await calls.ask(putWebhookEndpoint, { endpoint_id, url: "https://canary-hook.invalid/", states: ["COMPLETED"] });
  const execution_id = await calls.start({ workflow, linked_account_id: account, payload: { p: "canary-payload" } });
  const of = { execution_id, linked_account_id: account };
  await calls.until(ExecutionService.method.getExecutionResponse, { ...of, wait: 5 }, { status: "COMPLETED" });
  const { message: listed } = await calls.ask(listWebhookDeliveries, { endpoint_id });
  const delivery_id = Object(listed).deliveries[0].id;
  const key = await makeKey({ name: "canary-key-name", scopes: ["read"] });
  ids.workflow.push(workflow);
  ids.execution.push(execution_id);
  ids.key.push(key.id);
  victim = {
    workflow,
    slug,
    execution_id,
    schedule_id,
    endpoint_id,
    delivery_id,
    name: "of_the_victim",
    value: "a value of one",
    hosts: ["api.example.com"],
    format: "REFOLD",
    source: '{"name":"Small","slug":"canary-slug","nodes":[{"id":"1","type":"start"}]}',
    url: "https://hook-of-the-caller.invalid/",
    times,
    node_id: "2",
    linked_account_id: account,
    account_id: account,
    api_key_id: key.id,
    version: 1,
    workflow_version: 1,
    scopes: ["read"],
    definition,
    credentials: { token: "a token of one" },
    workflows: [workflow],
    linked_accounts: [account],
  };
}

/** Start → Group → Response. */
const definition: JsonObject = {
  fields: [{ name: "due", type: "STRING" }],
  nodes: [
    { id: "1", name: "Start", start: { api_call: {} } },
    { id: "2", name: "canary-description", group: { count: "1" } },
    { id: "3", name: "Inside", group_id: "2", transform: { query: "1" } },
    { id: "4", name: "Response", response: { data: "{{event.body}}" } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3", port: "each" },
    { source: "2", target: "4" },
  ],
};

async function makeKey(fields: JsonObject): Promise<{ readonly id: string; readonly key: string }> {
  const { text, message } = await calls.ask(ApiKeyService.method.createApiKey, { name: "caller", ...fields });
  expect(text).toBeUndefined();
  const { api_key, key } = Object(message);
  return { id: api_key.id, key };
}

/** A key with all scopes of an organisation beside the first one. */
async function foundOther(): Promise<string> {
  const [organization, environment] = [newId(), newId()];
  const key = "tk00000000-0000-4000-8000-00000000beef";
  const { hash, prefix } = keyTextOf(key);
  await flowcall.database.query(`
    insert into organization (id, name) values ('${organization}', 'other');
    insert into environment (id, organization_id, kind) values ('${environment}', '${organization}', 'test');
    insert into api_key (id, environment_id, hash, prefix, name, scopes)
      values ('${newId()}', '${environment}', '${hash}', '${prefix}', 'other', array[1, 2, 3, 4]);`);
  return key;
}

const allScopes = Object.keys(scopeWords);
const unknown = ["INVALID_API_KEY"];

/** Callers whom the gate turns away, whatever they ask for. */
async function strangers(): Promise<readonly Caller[]> {
  const revoked = await makeKey({ scopes: allScopes });
  await calls.ask(ApiKeyService.method.revokeApiKey, { api_key_id: revoked.id });
  const rotated = await makeKey({ scopes: allScopes });
  await calls.ask(ApiKeyService.method.rotateApiKey, { api_key_id: rotated.id });
  const expired = await makeKey({ scopes: allScopes });
  await flowcall.database.query(`update api_key set expire_time = now() where id = '${expired.id}'`);
  const none = ["MISSING_API_KEY", "INVALID_API_KEY", "VALIDATION_ERROR"];
  return [
    { name: "without a key", headers: [], reasons: ["MISSING_API_KEY"] },
    { name: "with an empty key", isOdd: true, headers: [["x-api-key", ""]], reasons: none },
    { name: "with a key that never was", isDead: true, headers: keyed(testKey.replace("01", "03")), reasons: unknown },
    { name: "with a key of no form", isOdd: true, headers: keyed("canary"), reasons: unknown },
    { name: "with a key in other letters", isOdd: true, headers: keyed(testKey.toUpperCase()), reasons: unknown },
    { name: "with a key of 8 KB", isOdd: true, headers: keyed(`tk${"0".repeat(8_000)}`), reasons: unknown },
    { name: "with two keys in one", isOdd: true, headers: keyed(`${testKey}, ${testKey}`), reasons: unknown },
    { name: "with two keys", isOdd: true, headers: [...keyed(testKey), ...keyed(testKey)], reasons: none },
    { name: "with a revoked key", isDead: true, headers: keyed(revoked.key), reasons: unknown },
    { name: "with an expired key", isDead: true, headers: keyed(expired.key), reasons: unknown },
    { name: "with what was a key before it was rotated", isDead: true, headers: keyed(rotated.key), reasons: unknown },
  ];
}

/** Callers who are somebody, and for whom the victim is not there. */
async function outsiders(): Promise<readonly Caller[]> {
  const other = { scopes: ["execute", "read"] };
  const ofWorkflow = await makeKey({ ...other, workflows: ["create-task"] });
  const ofAccount = await makeKey({ ...other, linked_accounts: ["jane@acme.io"] });
  return [
    { name: "of the other environment", headers: keyed(productionKey) },
    { name: "of another organisation", headers: keyed(await foundOther()) },
    {
      name: "restricted to another workflow",
      headers: keyed(ofWorkflow.key),
      hidden: ["workflow", "execution", "key"],
    },
    { name: "restricted to another account", headers: keyed(ofAccount.key), hidden: ["account", "execution", "key"] },
  ];
}

function keyed(key: string): readonly (readonly [string, string])[] {
  return [["x-api-key", key]];
}

/** A request that names the victim, or nothing that there is, in each field that must be set. */
function requestOf({ input }: DescMethod, values: Readonly<Record<string, JsonValue>>): JsonObject {
  const required = input.fields.filter((field) => field.proto.proto3Optional !== true);
  return Object.fromEntries(required.flatMap((field) => filled(field, values)));
}

function filled(field: DescField, values: Readonly<Record<string, JsonValue>>): readonly [string, JsonValue][] {
  const value = values[field.name];
  if (value !== undefined) {
    return [[field.name, value]];
  }
  // What may be empty stays so.
  return field.fieldKind === "scalar" ? [[field.name, "made-by-the-caller"]] : [];
}

/** A protocol over which a method can be called. */
type Way = {
  readonly name: string;
  call(fields: JsonObject, headers: Caller["headers"]): Promise<Omit<ApiAnswer, "headers">>;
};

/** REST first. A stream is over before the answer is looked at. */
function waysOf(method: DescMethod): readonly Way[] {
  if (isUnary(method)) {
    return protocols.map(({ name, call }) => ({
      name,
      call: (fields, headers) => {
        tried += 1;
        return call({ method, fields, headers });
      },
    }));
  }
  return watchProtocols.map(({ name, watch }) => ({
    name,
    call: async (fields, headers) => {
      tried += 1;
      const key = new Headers(headers.map(([header, value]): [string, string] => [header, value])).get("x-api-key");
      const events: JsonObject[] = [];
      try {
        for await (const event of watch({ fields, ...(key && { key }) })) {
          events.push(event);
        }
        return { message: events };
      } catch (error) {
        if (!(error instanceof WatchRefused)) {
          throw error;
        }
        return { text: error.message, ...(error.reason !== undefined && { reason: error.reason }) };
      }
    },
  }));
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

/** What an answer gives away: canaries of the victim that the request did not name itself. */
function leaksIn(answer: Partial<ApiAnswer>, fields: JsonObject, owners: readonly Owner[]): readonly string[] {
  const told = JSON.stringify([answer.message, answer.text, answer.problems, [...(answer.headers ?? [])]]);
  const sent = JSON.stringify(fields);
  return owners
    .flatMap((owner) => [...canaries[owner], ...ids[owner]])
    .filter((canary) => told.includes(canary) && !sent.includes(canary));
}

const everything: readonly Owner[] = ["workflow", "execution", "account", "key", "integration"];

/** All rows of the victim's environment, as one digest for each table. */
async function stateOfVictim(): Promise<JsonValue> {
  const { rows: tables } = await flowcall.database.query(
    `select table_name as name from information_schema.columns
      where table_schema = 'public' and column_name = 'environment_id' order by 1`,
  );
  const digests = await Promise.all(
    tables.map(async ({ name }) => {
      const { rows } = await flowcall.database.query(
        `select md5(coalesce(string_agg(row, '|' order by row), '')) as digest from (
           -- What a delivery changes by itself, when it is tried again.
           select (to_jsonb(t) - '{attempts,due_time,status,error,answer,end_time,failing_since,update_time}'::text[])::text as row
           from "${name}" t
           where environment_id = (select environment_id from workflow where id = '${victim["workflow"]}')
         ) rows`,
      );
      return [String(name), String(rows[0]?.["digest"])];
    }),
  );
  expect(digests.length).toBeGreaterThan(8);
  return Object.fromEntries(digests);
}

describe("nobody but the right caller", () => {
  test("is let through the gate, whatever is called", { timeout: 240_000 }, async () => {
    const callers = await strangers();
    const before = await stateOfVictim();
    const wrong: string[] = [];
    const check = async (method: DescMethod, caller: Caller, fields: JsonObject) => {
      const { name, headers, reasons = [], isOdd = false, isDead = false } = caller;
      const ways = waysOf(method);
      const turn = methods.indexOf(method);
      const byTurns = ways.filter((_, index) => (index - turn) % 3 === 0);
      for (const way of isOdd ? [...ways.slice(0, 1), ...ways.slice(-1)] : isDead ? byTurns : ways) {
        const answer = await way.call(fields, headers);
        const leaks = leaksIn(answer, fields, everything);
        if (leaks.length > 0 || !reasons.includes(answer.reason ?? "")) {
          wrong.push(`${method.name} ${name} over ${way.name}: ${answer.reason ?? "answered"} ${leaks}`);
        }
      }
    };
    await Promise.all(
      methods.map(async (method) => {
        const fields = requestOf(method, victim);
        for (const caller of callers) {
          await check(method, caller, fields);
        }
        const lacking = getOption(method, scope);
        if (lacking === Scope.ANY) {
          return;
        }
        const rest = Object.values(scopeWords).filter((other) => other !== lacking);
        const { key } = await makeKey({ scopes: rest.map(scopeWord) });
        await check(method, { name: "without the scope", headers: keyed(key), reasons: ["SCOPE_MISSING"] }, fields);
      }),
    );
    expect(wrong).toEqual([]);
    const { api_key: _, audit_event: __, ...after } = Object(await stateOfVictim());
    expect(before).toMatchObject(after);
  });

  test("finds, changes or learns anything of it, however real the ids are", { timeout: 240_000 }, async () => {
    const nowhere = { ...victim, ...nothing };
    const callers = await outsiders();
    const before = await stateOfVictim();
    const wrong: string[] = [];
    for (const { name, headers, hidden = everything } of callers) {
      for (const method of methods) {
        const fields = requestOf(method, victim);
        const [rest, ...others] = waysOf(method);
        if (rest === undefined) {
          throw new Error("there is no REST");
        }
        const answer = await rest.call(fields, headers);
        const unreal = await rest.call(requestOf(method, nowhere), headers);
        // Of what is not hidden from it, a restricted caller may know whether it is there.
        if (hidden === everything && answer.reason !== unreal.reason) {
          wrong.push(`${method.name} ${name}: ${answer.reason} where nothing is ${unreal.reason}`);
        }
        const told = await Promise.all(others.map((way) => way.call(fields, headers)));
        for (const one of [answer, ...told]) {
          const leaks = leaksIn(one, fields, hidden);
          if (leaks.length > 0) {
            wrong.push(`${method.name} ${name}: ${leaks}`);
          }
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(await stateOfVictim()).toEqual(before);
  });
});

/** What there is nowhere, in the place of what the victim has. */
const nothing = {
  workflow: "0123456789abcdef01234567",
  slug: "canary-none",
  execution_id: "0123456789abcdef01234567",
  linked_account_id: "nobody@acme.io",
  account_id: "nobody@acme.io",
  api_key_id: "0123456789abcdef01234567",
  schedule_id: "canary-no-schedule",
  endpoint_id: "canary-no-endpoint",
  delivery_id: "0123456789abcdef01234567",
  name: "of_nobody",
  workflows: ["0123456789abcdef01234567"],
  linked_accounts: ["nobody@acme.io"],
};

/** What these answer bears no name of the victim's: numbers and times alone, or the caller. */
const nameless = new Set(["GetPrincipal", "ListVersions", "ValidateDefinition", "ValidateDraft"]);

test("the right caller is answered all of it: the calls above were real ones", { timeout: 60_000 }, async () => {
  const last = (method: DescMethod) => Number(/^(Delete|Revoke)/.test(method.name));
  const silent: string[] = [];
  for (const method of methods.toSorted((a, b) => last(a) - last(b) || (a.name < b.name ? -1 : 1))) {
    // A key that is restricted has fewer scopes.
    const { workflows: _, linked_accounts: __, ...values } = victim;
    const given = requestOf(method, method.name === "CreateApiKey" ? values : victim);
    // So many keys were made above that a page of the usual size does not reach the victim's, nor who made it.
    const isLong = method.name === "ListApiKeys" || method.name === "ListAuditEvents";
    const fields = isLong ? { ...given, page_size: 200 } : given;
    const [rest] = waysOf(method);
    const answer = (await rest?.call(fields, keyed(testKey))) ?? {};
    expect([method.name, answer.reason, answer.text]).toEqual([method.name, ...expectedOf(method, answer)]);
    const isRead = method.proto.options?.idempotencyLevel === 1 && !nameless.has(method.name);
    if (isRead && leaksIn(answer, fields, everything).length === 0) {
      silent.push(method.name);
    }
  }
  // Every protocol for one without a key, one without the scope and 4 outsiders, and two for the other strangers. One method
  // needs no scope.
  expect(tried).toBeGreaterThan(methods.length * (6 * 6 + 10 * 2) - 6);
  expect(silent).toEqual([]);
});

/** Nothing was wrong with a request but what the state of the victim refuses. */
function expectedOf({ name }: DescMethod, answer: Partial<ApiAnswer>): readonly (string | undefined)[] {
  const refused: Readonly<Record<string, string>> = {
    CreateIntegration: "INTEGRATION_EXISTS",
    StopExecution: "EXECUTION_ENDED",
    RetryNode: "NODE_DID_NOT_FAIL",
    // That one waits for nobody; `webhook.test.ts` has one that does.
    ResumeNode: "RESOURCE_NOT_FOUND",
    DeleteIntegration: "INTEGRATION_IN_USE",
  };
  return [refused[name], refused[name] === undefined ? undefined : answer.text];
}

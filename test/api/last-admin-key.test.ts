import type { DescMethodUnary, JsonObject } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ApiKeyService } from "../../src/gen/flowcall/v1/api_key_pb.ts";
import { productionKey, testKey } from "../support/flowcall.ts";
import { executionCalls } from "./execution-calls.ts";
import { useFlowcall } from "./use-flowcall.ts";

const { createApiKey, listApiKeys, revokeApiKey, rotateApiKey } = ApiKeyService.method;

const flowcall = await useFlowcall();
const calls = executionCalls(flowcall.url);

const last = { status: 400, code: "FailedPrecondition", reason: "LAST_ADMIN_KEY" };

async function ask(method: DescMethodUnary, fields: JsonObject, key: string) {
  const [rest] = calls.protocols;
  if (rest === undefined) {
    throw new Error("there is no REST");
  }
  return await rest.call({ method, fields, key });
}

async function make(fields: JsonObject, key: string): Promise<{ readonly id: string; readonly key: string }> {
  const { reason, message } = await ask(createApiKey, { name: "made", scopes: ["admin"], ...fields }, key);
  expect(reason).toBeUndefined();
  const made = Object(message);
  return { id: made.api_key.id, key: made.key };
}

/** The id of the key that the environment began with. */
async function firstOf(key: string): Promise<string> {
  const { message } = await ask(listApiKeys, {}, key);
  return Object(message).api_keys.find(({ name }: { name: string }) => name.startsWith("first ")).id;
}

test("the last admin key of an environment is not revoked on any protocol", async () => {
  const api_key_id = await firstOf(testKey);
  await make({ scopes: ["read"] }, testKey);
  await make({ scopes: ["admin"] }, productionKey);
  await calls.checkRefused(revokeApiKey, { api_key_id }, last);
});

test("nor one that lasts longer than all others: a key that ends is no successor of one that does not", async () => {
  const api_key_id = await firstOf(testKey);
  const short = await make({ expire_time: "2099-01-01T00:00:00Z" }, testKey);
  const long = await make({ expire_time: "2100-01-01T00:00:00Z" }, testKey);
  await calls.checkRefused(revokeApiKey, { api_key_id }, last);
  for (const { id } of [long, short, short]) {
    expect((await ask(revokeApiKey, { api_key_id: id }, testKey)).reason, "the first one lasts longer").toBeUndefined();
  }
  await calls.checkRefused(revokeApiKey, { api_key_id }, last);
});

test("of two admins who revoke each other at the same moment one remains", async () => {
  for (let round = 0; round < 5; round += 1) {
    const others = await admins();
    const [one, other] = [await make({}, productionKey), await make({}, productionKey)];
    // Nobody but these two is left to make keys.
    await flowcall.database.query(
      `update api_key set revoke_time = now() where id in (${others.map((id) => `'${id}'`).join(", ")})`,
    );
    const answers = await Promise.all([
      ask(revokeApiKey, { api_key_id: other.id }, one.key),
      ask(revokeApiKey, { api_key_id: one.id }, other.key),
    ]);
    const reasons = answers.map(({ reason }) => reason ?? "done");
    expect(["LAST_ADMIN_KEY", "INVALID_API_KEY"]).toContain(reasons.find((reason) => reason !== "done"));
    expect(reasons.filter((reason) => reason === "done")).toHaveLength(1);
    expect(await admins()).toHaveLength(1);
    await flowcall.database.query(
      `update api_key set revoke_time = null where id in (${others.map((id) => `'${id}'`).join(", ")})`,
    );
  }
});

/** Which keys of the production environment can make keys. */
async function admins(): Promise<readonly string[]> {
  const { rows } = await flowcall.database.query(
    `select key.id from api_key as key join environment on environment.id = key.environment_id
     where kind = 'production' and 4 = any (scopes) and revoke_time is null and expire_time is null`,
  );
  return rows.map(({ id }) => String(id));
}

test("the last one can be rotated, and is the last one still", async () => {
  const api_key_id = await firstOf(testKey);
  expect((await ask(rotateApiKey, { api_key_id, overlap_seconds: 60 }, testKey)).reason).toBeUndefined();
  await calls.checkRefused(revokeApiKey, { api_key_id }, last);
});

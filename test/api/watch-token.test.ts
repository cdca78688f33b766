import type { JsonObject } from "@bufbuild/protobuf";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keyTextOf } from "../../src/domain/keys/api-key.ts";
import { ApiKeyService } from "../../src/gen/flowcall/v1/api_key_pb.ts";
import { AuditService } from "../../src/gen/flowcall/v1/audit_pb.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { LinkedAccountService } from "../../src/gen/flowcall/v1/linked_account_pb.ts";
import { type OpenReply, openReply, readEvents, type SentEvent } from "../support/event-source.ts";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, productionKey, putWorkflow, startBeside, startFlowcall, testKey } from "../support/flowcall.ts";
import { hourAsleep } from "../support/hour-long.ts";
import { sendRequest } from "../support/http-request.ts";
import { account, type ExecutionCalls, executionCalls, invalid, notFound, unknownId } from "./execution-calls.ts";

const { createWatchToken } = ExecutionService.method;
const { createApiKey, revokeApiKey, rotateApiKey } = ApiKeyService.method;

const versions = ["1.1", "2"] as const;
const log: string[] = [];

let flowcall: Flowcall;
/** One that is not told what the other does, and reads it in the database alone. */
let beside: Flowcall;
let calls: ExecutionCalls;
/** One in which nothing happens for an hour, one that has ended. */
let asleep: string;
let ended: string;

beforeAll(async () => {
  flowcall = await startFlowcall({}, pino({ level: "trace" }, { write: (line) => log.push(line) }));
  beside = await startBeside(flowcall);
  calls = executionCalls(flowcall.url);
  await putWorkflow(flowcall.url, { alias: "hour-long", definition: hourAsleep });
  asleep = await calls.start({ workflow: "hour-long" });
  ended = await calls.start({ workflow: "create-task" });
  const fields = { execution_id: ended, linked_account_id: account, wait: 10 };
  await calls.until(ExecutionService.method.getExecutionResponse, fields, { status: "COMPLETED" });
});

afterAll(async () => {
  await beside?.stop();
  await flowcall?.stop();
});

async function make(execution_id: string, fields: JsonObject = {}, key = testKey): Promise<string> {
  const [rest] = calls.protocols;
  const answer = await rest?.call({ method: createWatchToken, fields: { execution_id, ...fields }, key });
  expect(answer?.reason).toBeUndefined();
  return String(Object(answer?.message).token);
}

type Opening = { readonly url?: string; readonly version?: (typeof versions)[number]; readonly path?: string };

/** Opens the stream as a browser does: with nothing but a URL, and the id of the last event. */
function open(execution: string, query: string, { url, version = "1.1", path }: Opening = {}, lastEventId?: string) {
  const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
  const where = path ?? `/api/v1/execution/${execution}/events`;
  return openReply(url ?? flowcall.url, version, { path: `${where}?${query}`, headers });
}

async function read({ body }: OpenReply): Promise<SentEvent[]> {
  const events: SentEvent[] = [];
  for await (const event of readEvents(body)) {
    events.push(event);
  }
  return events;
}

async function refusalOf(reply: OpenReply): Promise<readonly [number, string]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of reply.body) {
    chunks.push(chunk);
  }
  return [reply.status, JSON.parse(Buffer.concat(chunks).toString()).error_code];
}

const lastType = (events: readonly SentEvent[]) => events.findLast(({ type }) => type !== undefined)?.type;
const errorOf = (events: readonly SentEvent[]) => JSON.parse(events.at(-1)?.data ?? "{}").error_code;

describe("a watch token reads the events of its execution with nothing but a URL", () => {
  test.each(versions)("over HTTP/%s, and says to keep the URL to oneself", async (version) => {
    const token = await make(ended);
    expect(token).toMatch(/^[A-Za-z0-9._-]{60,200}$/);
    const reply = await open(ended, `watch_token=${token}`, { version });
    expect(reply.status).toBe(200);
    expect(reply.headers).toMatchObject({ "cache-control": "no-store", "referrer-policy": "no-referrer" });
    const events = await read(reply);
    expect(lastType(events)).toBe("ended");
  });

  test("again behind the last event, which EventSource sends when it comes back", async () => {
    const token = await make(ended);
    const ids = (await read(await open(ended, `watch_token=${token}`))).flatMap(({ id }) => id ?? []);
    const again = await read(await open(ended, `watch_token=${token}`, {}, ids[1]));
    expect(again.flatMap(({ id }) => id ?? [])).toEqual(ids.slice(2));
    const end = await open(ended, `watch_token=${token}`, {}, ids.at(-1));
    end.close();
    expect(end.status).toBe(204);
  });

  test("on every process, and the reply that makes it may not be kept", async () => {
    const token = await make(ended);
    expect(lastType(await read(await open(ended, `watch_token=${token}`, { url: beside.url })))).toBe("ended");
    const { headers } = await calls.ask(createWatchToken, { execution_id: ended });
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
  });

  test("every protocol makes one, for 15 minutes where it is not said for how long", async () => {
    const { protocols } = calls;
    for (const { call } of protocols) {
      const { message } = await call({ method: createWatchToken, fields: { execution_id: asleep }, key: testKey });
      const { expire_time } = Object(message);
      expect(Math.abs(Date.parse(expire_time) - Date.now() - 900_000)).toBeLessThan(60_000);
    }
  });
});

describe("a watch token is good for nothing else", () => {
  const refused: Readonly<Record<string, (token: string) => string>> = {
    "one that is changed": (token) => `watch_token=${token.slice(0, -2)}${token.endsWith("A") ? "BB" : "AA"}`,
    "one for another execution in its place": (token) => `watch_token=${token.replace(asleep, ended)}`,
    "one that lasts longer than it was made for": (token) =>
      `watch_token=${token.replace(/\.[0-9a-z]{8}\./, ".zzzzzzzz.")}`,
    "no token": () => "watch_token=",
    "a long text": () => `watch_token=${"a".repeat(4_000)}`,
    "one that is given twice": (token) => `watch_token=${token}&watch_token=${token}`,
  };
  test.each(Object.entries(refused))("%s is refused", async (_, queryOf) => {
    const reply = await open(asleep, queryOf(await make(asleep)));
    expect(reply.headers["referrer-policy"]).toBe("no-referrer");
    expect(await refusalOf(reply)).toEqual([401, "INVALID_WATCH_TOKEN"]);
  });

  test("of all other executions none is found", async () => {
    const token = await make(asleep);
    for (const other of [ended, unknownId]) {
      expect(await refusalOf(await open(other, `watch_token=${token}`))).toEqual([404, "RESOURCE_NOT_FOUND"]);
    }
  });

  test("other paths know none, and an API key beside it is one too many", async () => {
    const token = await make(asleep);
    for (const path of [`/api/v1/execution/${asleep}`, `/api/v1/execution/${asleep}/node/1`, "/api/v1/workflow"]) {
      const opened = await open(asleep, `watch_token=${token}`, { path });
      expect([path, ...(await refusalOf(opened))]).toEqual([path, 401, "MISSING_API_KEY"]);
    }
    const path = `/api/v1/execution/${asleep}/events?watch_token=${token}`;
    // Browsers send the credentials of a proxy by themselves.
    for (const headers of [{ "x-api-key": "" }, { authorization: "Basic dXNlcjpwYXNz" }]) {
      const one = await openReply(flowcall.url, "1.1", { path, headers });
      expect(one.status).toBe(200);
      one.close();
    }
    for (const headers of [{ "x-api-key": testKey }, { authorization: `Bearer ${testKey}` }]) {
      const both = await openReply(flowcall.url, "1.1", { path, headers });
      expect(await refusalOf(both)).toEqual([401, "INVALID_WATCH_TOKEN"]);
    }
  });
});

describe("a watch token is made for what its key may read", () => {
  test("of a key of another environment, or for another account, there is no such execution", async () => {
    await calls.checkRefused(createWatchToken, { execution_id: asleep }, notFound, { key: productionKey });
    await calls.checkRefused(createWatchToken, { execution_id: asleep, linked_account_id: "other" }, notFound);
    await calls.checkRefused(createWatchToken, { execution_id: unknownId }, notFound);
    await calls.ask(LinkedAccountService.method.putLinkedAccount, { account_id: "other" });
    const limited = await newKey({ linked_accounts: ["other"] });
    await calls.checkRefused(createWatchToken, { execution_id: asleep }, notFound, { key: limited.key });
  });

  test("a key that may not read makes none", async () => {
    const { key } = await newKey({ scopes: ["execute"] });
    const refusal = { status: 403, code: "PermissionDenied", reason: "SCOPE_MISSING" };
    await calls.checkRefused(createWatchToken, { execution_id: asleep }, refusal, { key });
  });

  test.each([0, -1, 3_601])("one for %i seconds is refused", async (ttl_seconds) => {
    await calls.checkRefused(createWatchToken, { execution_id: asleep, ttl_seconds }, invalid);
  });

  test("without encryption keys there is none, and the refusal names the setting", async () => {
    const bare = await startFlowcall({ FLOWCALL_ENCRYPTION_KEYS: undefined });
    try {
      const own = executionCalls(bare.url);
      const execution_id = await own.start({ workflow: "create-task" });
      const refusal = { status: 400, code: "FailedPrecondition", reason: "ENCRYPTION_KEYS_MISSING" };
      await own.checkRefused(createWatchToken, { execution_id }, { ...refusal, text: /FLOWCALL_ENCRYPTION_KEYS/ });
    } finally {
      await bare.stop();
    }
  });
});

describe("a stream that a watch token has opened ends", () => {
  test("when the token does, and it opens no other", async () => {
    const token = await make(asleep, { ttl_seconds: 2 });
    const events = await read(await open(asleep, `watch_token=${token}`));
    expect([lastType(events), errorOf(events)]).toEqual(["error", "TOKEN_EXPIRED"]);
    expect(await refusalOf(await open(asleep, `watch_token=${token}`))).toEqual([401, "TOKEN_EXPIRED"]);
  });

  const ends: Readonly<Record<string, (key: { readonly id: string; readonly key: string }) => Promise<unknown>>> = {
    "is revoked": ({ id }) => calls.ask(revokeApiKey, { api_key_id: id }),
    "is revoked and no process is told": ({ key }) =>
      flowcall.database.query(`update api_key set revoke_time = now() where hash = '${keyTextOf(key).hash}'`),
  };
  test.each(Object.entries(ends))("within 5 seconds on every process when its key %s", async (_, end) => {
    const made = await newKey();
    const token = await make(asleep, {}, made.key);
    const replies = await Promise.all(
      [flowcall, beside].map(({ url }) => open(asleep, `watch_token=${token}`, { url })),
    );
    expect(replies.map(({ status }) => status)).toEqual([200, 200]);
    const reading = replies.map(read);
    await end(made);
    const begin = performance.now();
    for (const events of await Promise.all(reading)) {
      expect([lastType(events), errorOf(events)]).toEqual(["error", "TOKEN_EXPIRED"]);
    }
    expect(performance.now() - begin).toBeLessThan(5_000);
    for (const { url } of [flowcall, beside]) {
      expect(await refusalOf(await open(asleep, `watch_token=${token}`, { url }))).toEqual([401, "TOKEN_EXPIRED"]);
    }
  });

  test("when its key ends by itself, which no token outlives", async () => {
    const expire_time = new Date(Date.now() + 2_000).toISOString();
    const token = await make(asleep, { ttl_seconds: 3_600 }, (await newKey({ expire_time })).key);
    expect(errorOf(await read(await open(asleep, `watch_token=${token}`)))).toBe("TOKEN_EXPIRED");
  });

  test("but not when its key gets another text", async () => {
    const made = await newKey();
    const token = await make(ended, {}, made.key);
    await calls.ask(rotateApiKey, { api_key_id: made.id });
    expect(lastType(await read(await open(ended, `watch_token=${token}`)))).toBe("ended");
  });
});

test("the streams that tokens open count for their address and for the environment of their key", async () => {
  const small = await startFlowcall({
    FLOWCALL_OPEN_STREAMS_PER_ADDRESS: "2",
    FLOWCALL_ENVIRONMENT_WATCHERS_MAX: "3",
  });
  const opened: OpenReply[] = [];
  try {
    const own = executionCalls(small.url);
    await putWorkflow(small.url, { alias: "hour-long", definition: hourAsleep });
    const execution_id = await own.start({ workflow: "hour-long" });
    const { token } = Object((await own.ask(createWatchToken, { execution_id })).message);
    const begin = () => open(execution_id, `watch_token=${token}`, { url: small.url });
    opened.push(await begin(), await begin());
    expect(opened.map(({ status }) => status)).toEqual([200, 200]);
    expect(await refusalOf(await begin())).toEqual([429, "TOO_MANY_REQUESTS"]);
    const withKey = () =>
      openReply(small.url, "1.1", {
        path: `/api/v1/execution/${execution_id}/events`,
        headers: { "x-api-key": testKey },
      });
    opened.push(await withKey());
    expect(opened.at(-1)?.status).toBe(200);
    expect(await refusalOf(await withKey())).toEqual([429, "WATCHERS_FULL"]);
    opened[0]?.close();
    await eventually(async () => {
      const next = await begin();
      opened.push(next);
      expect(next.status).toBe(200);
    });
  } finally {
    for (const { close } of opened) {
      close();
    }
    await small.stop();
  }
});

test("what stands in a query is in no log line, no refusal and no audit event; a refusal may name a parameter", {
  timeout: 90_000,
}, async () => {
  const canary = "canary-in-a-query-4711";
  const name = "canary-as-a-name-0815";
  const token = await make(ended);
  const own = [`watch_token=${token}`, `watch_token=${canary}`, `watch_token=${token}&x=${canary}`];
  const odd = [
    `${name}=1`,
    `page_size=${canary}`,
    `page_token=${canary}`,
    `x=${canary}%ff`,
    `${canary}%`,
    `x=%00${canary}`,
  ];
  const paths = [
    `/api/v1/execution/${ended}/events`,
    `/api/v1/execution/${ended}`,
    "/api/v1/execution",
    "/api/v1/api-key",
    "/api/v1/nowhere",
    "/healthz",
    "/openapi.json",
    "/flowcall.v1.ExecutionService/WatchExecution",
    "/api/v1/workflow/create-task/execute",
  ];
  const replies: string[] = [];
  const ways = [
    { method: "GET", headers: [] },
    { method: "GET", headers: [["x-api-key", testKey]] },
    {
      method: "POST",
      headers: [
        ["x-api-key", testKey],
        ["content-type", "application/json"],
      ],
    },
  ] as const;
  const asked = paths.flatMap((path) =>
    [...own, ...odd].flatMap((query) => ways.map((way) => ({ ...way, path: `${path}?${query}` }))),
  );
  await Promise.all(
    versions.map(async (version, turn) => {
      for (const request of asked.filter((_, index) => index % versions.length === turn)) {
        const { status, headers, body } = await sendRequest(flowcall.url, version, request);
        replies.push(`${status} ${JSON.stringify([...headers])} ${body.toString()}`);
      }
    }),
  );
  const changes = await calls.ask(AuditService.method.listAuditEvents, {});
  const texts = { log: log.join("\n"), replies: replies.join("\n"), audit: JSON.stringify(changes.message) };
  // What was searched is what is there.
  expect(texts.log).toContain("/api/v1/execution");
  expect(texts.replies).toContain("VALIDATION_ERROR");
  expect(texts.audit).toContain("CREATE");
  expect([texts.log, texts.audit].filter((text) => text.includes(name))).toEqual([]);
  for (const secret of [canary, token, token.slice(-43)]) {
    expect(Object.entries(texts).flatMap(([where, text]) => (text.includes(secret) ? [where] : []))).toEqual([]);
  }
});

async function newKey(fields: JsonObject = {}): Promise<{ readonly id: string; readonly key: string }> {
  const { message } = await calls.ask(createApiKey, { name: "a key", scopes: ["read"], ...fields });
  const { key, api_key } = Object(message);
  return { id: api_key.id, key };
}

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { JsonObject } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { openReply, readEvents } from "../support/event-source.ts";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, productionKey, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";
import { typeOf, type WatchCall, type WatchProtocol, WatchRefused, watchProtocolsOf } from "./watch-protocols.ts";

const account = "john@acme.io";
const anId = expect.stringMatching(/^[0-9a-f]{24}$/);
const aTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);

let flowcall: Flowcall;
let protocols: readonly WatchProtocol[];

/** Start → Group of 20, five at a time, each with a short Delay → Response. */
const slowGroup: JsonObject = {
  nodes: [
    { id: "1", name: "Start", start: { api_call: {} } },
    { id: "2", name: "Each", group: { count: "20", concurrency: 5, output: "{{node.2.body.iteration_count}}" } },
    { id: "3", name: "Rest", group_id: "2", delay: { seconds: "0.3" } },
    { id: "4", name: "Response", response: { data: "{{node.2.body}}" } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3", port: "each" },
    { source: "2", target: "4", port: "next" },
  ],
};

/** Start → Delay of some seconds, in which nothing happens. A service that stops waits for it. */
const long: JsonObject = {
  nodes: [
    { id: "1", name: "Start", start: { api_call: {} } },
    { id: "2", name: "Rest", delay: { seconds: "5" } },
  ],
  edges: [{ source: "1", target: "2" }],
};

/** Start → Group of 3,000 → Response: more events than what is on its way to a reader can hold. */
const manyEvents: JsonObject = {
  nodes: [
    { id: "1", name: "Start", start: { api_call: {} } },
    { id: "2", name: "Each", group: { count: "3000", output: "1" } },
    { id: "3", name: "One", group_id: "2", transform: { query: "1" } },
    { id: "4", name: "Response", response: { data: "1" } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3", port: "each" },
    { source: "2", target: "4", port: "next" },
  ],
};

beforeAll(async () => {
  flowcall = await startFlowcall({ FLOWCALL_EVENT_COMMENT_MS: "100" });
  protocols = watchProtocolsOf(flowcall.url);
  await putWorkflow(flowcall.url, { alias: "slow-group", definition: slowGroup });
  await putWorkflow(flowcall.url, { alias: "long", definition: long });
});

afterAll(async () => flowcall?.stop());

type Fields = { readonly workflow: string; readonly payload?: JsonObject; readonly syncExecution?: boolean };

async function start(fields: Fields, url = flowcall.url): Promise<string> {
  const client = createClient(ExecutionService, createGrpcTransport({ baseUrl: url }));
  const request = { linkedAccountId: account, ...fields };
  return (await client.executeWorkflow(request, { headers: { "x-api-key": testKey } })).executionId;
}

async function readAll(protocol: WatchProtocol, call: Partial<WatchCall> & Pick<WatchCall, "fields">) {
  const events: JsonObject[] = [];
  for await (const event of protocol.watch({ key: testKey, ...call })) {
    events.push(event);
  }
  return events;
}

async function refusalOf(protocol: WatchProtocol, call: Partial<WatchCall> & Pick<WatchCall, "fields">) {
  const error: unknown = await readAll(protocol, call).catch((thrown: unknown) => thrown);
  if (!(error instanceof WatchRefused)) {
    throw new Error(`${protocol.name} was not refused`, { cause: error });
  }
  return error;
}

/** What an event is about: `accepted`, `node_started 2[3]/3`, `node 2[3]/3`, `iteration 2[3]`, `ended`. */
function told(event: JsonObject): string {
  const type = typeOf(event);
  const { path } = Object(event[type]);
  return path === undefined ? type : `${type.replace("_finished", "")} ${path}`;
}

describe("the events of an execution that has ended", () => {
  test("are all that is recorded of it, the same over every protocol", async () => {
    const execution_id = await start({ workflow: "batch-notes", payload: { items: ["a", "b"] } });
    for (const protocol of protocols) {
      const events = await readAll(protocol, { fields: { execution_id } });
      const tellings = events.map(told);
      expect([protocol.name, tellings.slice(0, 2), tellings.slice(-3)]).toEqual([
        protocol.name,
        ["accepted", "node 1"],
        ["node 2", "node 4", "ended"],
      ]);
      expect(tellings.slice(2, -3).sort()).toEqual(["iteration 2[0]", "iteration 2[1]", "node 2[0]/3", "node 2[1]/3"]);
      expect(tellings.indexOf("iteration 2[0]")).toBeGreaterThan(tellings.indexOf("node 2[0]/3"));
      expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
      expect(events[0]).toEqual({
        id: expect.any(String),
        accepted: {
          execution_id,
          workflow_id: anId,
          workflow_version: 1,
          linked_account_id: account,
          create_time: aTime,
        },
      });
      expect(events[1]?.["node_finished"]).toEqual({
        node_id: "1",
        path: "1",
        name: "Start",
        state: "SUCCESS",
        attempts: 1,
        start_time: aTime,
        end_time: aTime,
        notes: [],
        console: [],
        attempt_list: [],
      });
      expect(events.at(-1)?.["ended"]).toEqual({ state: "COMPLETED", status: "COMPLETED", end_time: aTime });
    }
  });

  test("go on behind the one that a caller has seen, and behind the last there is none", async () => {
    const execution_id = await start({ workflow: "create-task", syncExecution: true });
    for (const protocol of protocols) {
      const all = await readAll(protocol, { fields: { execution_id } });
      expect(all.map(told)).toEqual(["accepted", "node 1", "node 2", "node 3", "ended"]);
      for (const [index, { id = "" }] of all.entries()) {
        const rest = await readAll(protocol, { fields: { execution_id, last_event_id: id } });
        expect([protocol.name, rest]).toEqual([protocol.name, all.slice(index + 1)]);
      }
    }
  });

  test("are 204 to a REST reader that has seen the last one, which so learns not to come back", async () => {
    const execution_id = await start({ workflow: "create-task", syncExecution: true });
    const path = `/api/v1/execution/${execution_id}/events`;
    const seen = { "x-api-key": testKey, "last-event-id": `${execution_id}.end` };
    const reply = await openReply(flowcall.url, "1.1", { path, headers: seen });
    expect([reply.status, await reply.body.toArray()]).toEqual([204, []]);
    expect(reply.headers).toMatchObject({ "x-execution-id": execution_id, "x-execution-status": "COMPLETED" });
  });

  test("say why it failed", async () => {
    const execution_id = await start({ workflow: "always-fails", syncExecution: true });
    const [protocol] = protocols;
    const events = protocol === undefined ? [] : await readAll(protocol, { fields: { execution_id } });
    const error = { reason: "TERMINATED", message: "This workflow always fails.", node_id: "3", node_name: "Give up" };
    expect(events.at(-2)).toMatchObject({ node_finished: { node_id: "3", state: "ERRORED", error } });
    expect(events.at(-1)).toMatchObject({ ended: { state: "ERRORED", status: "ERRORED", error } });
  });
});

/** Runs curl as a person would, and cuts it after so many events. */
async function curl(path: string, { headers, eventsMax }: { headers: readonly string[]; eventsMax: number }) {
  const named = [`x-api-key: ${testKey}`, ...headers].flatMap((header) => ["-H", header]);
  const child: ChildProcess = spawn("curl", ["-sSN", ...named, flowcall.url + path]);
  const exited = once(child, "exit");
  const events: JsonObject[] = [];
  if (child.stdout === null) {
    throw new Error("curl has an output");
  }
  // What curl has printed by the time that it is cut may end inside of an event, and is read once more.
  for await (const { data } of readEvents(child.stdout)) {
    if (data !== undefined) {
      events.push(JSON.parse(data));
    }
    if (events.length === eventsMax) {
      break;
    }
  }
  child.kill();
  await exited;
  return events;
}

describe("the events of an execution that runs", () => {
  test("reach a reader who is cut again and again once each, in order", async () => {
    const execution_id = await start({ workflow: "slow-group" });
    const path = `/api/v1/execution/${execution_id}/events`;
    const events: JsonObject[] = [];
    let cuts = 0;
    while (events.at(-1)?.["ended"] === undefined) {
      const last = events.at(-1)?.["id"];
      const headers = last === undefined ? [] : [`Last-Event-ID: ${last}`];
      events.push(...(await curl(path, { headers, eventsMax: 7 })));
      cuts += 1;
    }
    expect(cuts).toBeGreaterThan(5);
    const all = protocols[0] === undefined ? [] : await readAll(protocols[0], { fields: { execution_id } });
    expect(events).toEqual(all);
    const inside = Array.from({ length: 20 }, (_, index) => {
      const node = `2[${index}]/3`;
      return [`iteration 2[${index}]`, `node_started ${node}`, `node ${node}`];
    }).flat();
    const outside = ["accepted", "ended", "node 1", "node 2", "node 4", "node_started 2"];
    expect(events.map(told).sort()).toEqual([...outside, ...inside].sort());
    for (const event of events.filter((one) => one["node_started"] !== undefined)) {
      const { path, state } = Object(event["node_started"]);
      expect([path, state]).toEqual([path, path === "2" ? "RUNNING" : "WAITING"]);
      const finished = events.findIndex((one) => Object(one["node_finished"]).path === path);
      expect(events.indexOf(event)).toBeLessThan(finished);
    }
  });

  test("come while it runs, and comments between them", async () => {
    const execution_id = await start({ workflow: "long" });
    const path = `/api/v1/execution/${execution_id}/events`;
    const { body, close } = await openReply(flowcall.url, "2", { path, headers: { "x-api-key": testKey } });
    const seen: string[] = [];
    for await (const { type, comment } of readEvents(body)) {
      seen.push(type ?? `comment${comment}`);
      if (seen.length === 4) {
        break;
      }
    }
    close();
    expect(seen).toEqual(["accepted", "node_finished", "node_started", "comment"]);
  });
});

describe("a watch keeps its bounds", () => {
  const notFound = { reason: "RESOURCE_NOT_FOUND", rest: 404, code: "NotFound" };
  const invalid = { reason: "VALIDATION_ERROR", rest: 400, code: "InvalidArgument" };

  async function checkRefused(fields: JsonObject, refusal: typeof notFound, key: string = testKey) {
    for (const protocol of protocols) {
      const { reason, status } = await refusalOf(protocol, { fields, key });
      expect([protocol.name, reason, status]).toEqual([
        protocol.name,
        refusal.reason,
        protocol.isRest ? refusal.rest : refusal.code,
      ]);
    }
  }

  test("the execution of another account or environment, and one that does not exist, is not found", async () => {
    const execution_id = await start({ workflow: "create-task", syncExecution: true });
    await checkRefused({ execution_id, linked_account_id: "jane@acme.io" }, notFound);
    await checkRefused({ execution_id }, notFound, productionKey);
    await checkRefused({ execution_id: "0123456789abcdef01234567" }, notFound);
    await checkRefused({ execution_id: "nonsense" }, notFound);
    await checkRefused(
      { execution_id },
      { reason: "INVALID_API_KEY", rest: 401, code: "Unauthenticated" },
      "tk-nobody",
    );
  });

  test("an id of an event that the execution has not sent is refused", async () => {
    const [execution_id, running] = [await start({ workflow: "create-task" }), await start({ workflow: "long" })];
    await checkRefused({ execution_id, last_event_id: `${running}.start` }, invalid);
    await checkRefused({ execution_id, last_event_id: `${execution_id}.0.99` }, invalid);
    await checkRefused({ execution_id, last_event_id: `${execution_id}.99.0` }, invalid);
    await checkRefused({ execution_id, last_event_id: "nonsense" }, invalid);
    await checkRefused({ execution_id: running, last_event_id: `${running}.end` }, invalid);
  });

  test("a deadline ends it", async () => {
    for (const protocol of protocols.filter(({ isRest }) => !isRest)) {
      const execution_id = await start({ workflow: "long" });
      const { status } = await refusalOf(protocol, { fields: { execution_id }, timeoutMs: 200 });
      expect([protocol.name, status]).toEqual([protocol.name, "DeadlineExceeded"]);
    }
  });

  test("there are so many at a time as the limit says, and one that goes makes room", async () => {
    const small = await startFlowcall({ FLOWCALL_WATCHERS_MAX: "1" });
    try {
      await putWorkflow(small.url, { alias: "long", definition: long });
      const [other, ...all] = watchProtocolsOf(small.url);
      for (const protocol of all) {
        const fields = { execution_id: await start({ workflow: "long" }, small.url) };
        const gone = new AbortController();
        const watch = protocol.watch({ fields, key: testKey, signal: gone.signal });
        await eventually(async () => expect((await watch.next()).value).toMatchObject({ accepted: {} }));
        if (other === undefined) {
          throw new Error("there is no other protocol");
        }
        expect(await refusalOf(other, { fields })).toMatchObject({ reason: "SERVER_BUSY", status: 503 });
        gone.abort();
        await watch.next().catch(() => undefined);
        await eventually(async () => {
          for await (const event of other.watch({ fields, key: testKey })) {
            expect(event).toMatchObject({ accepted: {} });
            break;
          }
        });
      }
    } finally {
      await small.stop();
    }
  });
});

test("a reader that takes nothing for too long is cut, though it stays connected", async () => {
  const small = await startFlowcall({ FLOWCALL_WATCHERS_MAX: "1", FLOWCALL_STREAM_STALL_MS: "1500" });
  const done = new AbortController();
  try {
    await putWorkflow(small.url, { alias: "many", definition: manyEvents });
    const fields = { execution_id: await start({ workflow: "many" }, small.url) };
    const readers = watchProtocolsOf(small.url);
    const [rest, grpc] = [readers[1], readers.at(-1)];
    if (rest === undefined || grpc === undefined) {
      throw new Error("there are no readers");
    }
    // Where a stream breaks off, a reader reads it again.
    const told = await eventually(async () => {
      const events = await readAll(rest, { fields });
      expect(typeOf(events.at(-1) ?? {})).toBe("ended");
      return events;
    });
    expect(told.at(-1)).toMatchObject({ ended: { state: "COMPLETED" } });
    expect(told.length).toBeGreaterThan(6_000);
    for (const protocol of [rest, grpc]) {
      const watch = protocol.watch({ fields, key: testKey, signal: done.signal });
      expect((await watch.next()).value).toMatchObject({ accepted: {} });
      const next = { fields: { ...fields, last_event_id: told.at(-2)?.["id"] ?? "" } };
      await eventually(async () => expect(await readAll(grpc, next)).toHaveLength(1), { withinMs: 20_000 });
    }
  } finally {
    done.abort();
    await small.stop();
  }
});

test("a process that stops ends its streams at once, and says why", async () => {
  const stopping = await startFlowcall();
  await putWorkflow(stopping.url, { alias: "long", definition: long });
  const fields = { execution_id: await start({ workflow: "long" }, stopping.url) };
  const watches = watchProtocolsOf(stopping.url).map((protocol) => protocol.watch({ fields, key: testKey }));
  for (const watch of watches) {
    expect((await watch.next()).value).toMatchObject({ accepted: {} });
    expect((await watch.next()).value).toMatchObject({ node_finished: { node_id: "1" } });
    expect((await watch.next()).value).toMatchObject({ node_started: { node_id: "2", state: "WAITING" } });
  }
  const health = createClient(Health, createGrpcTransport({ baseUrl: stopping.url }));
  const statuses = health.watch({ service: "" })[Symbol.asyncIterator]();
  expect((await statuses.next()).value).toMatchObject({ status: ServingStatus.SERVING });

  const stopped = stopping.stop();
  for (const watch of watches) {
    const error: unknown = await watch.next().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(WatchRefused);
    expect(error).toMatchObject({ reason: "SHUTTING_DOWN" });
  }
  expect((await statuses.next()).value).toMatchObject({ status: ServingStatus.NOT_SERVING });
  expect((await statuses.next()).done).toBe(true);
  await stopped;
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ExecutionEvent, Flowcall, FlowcallError } from "../src/client/client.ts";
import { type Flowcall as Server, startFlowcall, testKey } from "./support/flowcall.ts";

const account = "john@acme.io";

let server: Server;
let client: Flowcall;

beforeAll(async () => {
  server = await startFlowcall();
  client = new Flowcall({ url: `${server.url}/`, key: testKey, account });
});

afterAll(async () => server?.stop());

/** A client whose first replies are spoilt by `spoil`. The others are as the server sends them. */
function clientWith(...spoil: readonly ((reply: () => Promise<Response>) => Promise<Response>)[]): Flowcall {
  let sent = 0;
  return new Flowcall({
    url: server.url,
    key: testKey,
    account,
    fetch: async (input, init) => {
      const send = async () => await fetch(input, init);
      sent += 1;
      return await (spoil[sent - 1]?.(send) ?? send());
    },
  });
}

async function lost(reply: () => Promise<Response>): Promise<Response> {
  await (await reply()).arrayBuffer();
  throw new TypeError("fetch failed");
}

async function countOf(tag: string): Promise<number> {
  const { rows } = await server.database.query(`select count(*)::int as count from execution where tag = '${tag}'`);
  return Number(rows[0]?.["count"]);
}

async function listOf(events: AsyncIterable<ExecutionEvent>): Promise<readonly ExecutionEvent[]> {
  const list: ExecutionEvent[] = [];
  for await (const event of events) {
    list.push(event);
  }
  return list;
}

describe("run", () => {
  test("answers the value of a workflow that completes, also of one with a Group, for which a plain wait is refused", async () => {
    const task = await client.run("create-task", { "Task Name": "Call" });
    expect(task).toMatchObject({ status: "COMPLETED", value: { new_note: "Call" } });
    const notes = await client.run("batch-notes", { items: ["tea"] });
    expect(notes).toMatchObject({ status: "COMPLETED", value: { notes: ["Note 1: tea"] } });
  });

  test("answers why a workflow failed, and throws nothing", async () => {
    const result = await client.run("always-fails", {});
    expect(result).toMatchObject({
      status: "ERRORED",
      error: { reason: expect.any(String), message: expect.any(String) },
    });
  });

  test("does not wait when told so; the end is asked for by the id", async () => {
    const running = await client.run("slow-task", {}, { wait: 0 });
    expect(running).toEqual({ status: "RUNNING", id: expect.stringMatching(/^[0-9a-f]{24}$/) });
    expect(await client.result(running.id)).toMatchObject({ status: "COMPLETED", id: running.id });
  });

  test("runs a workflow once, however often the answer is lost or the server is busy", async () => {
    const busy = async () =>
      Response.json({ error_code: "SERVER_BUSY" }, { status: 503, headers: { "retry-after": "0" } });
    const result = await clientWith(lost, busy, lost).run("create-task", {}, { tag: "repeated" });
    expect(result.status).toBe("COMPLETED");
    expect(await countOf("repeated")).toBe(1);
  });

  test("gives up when the time for that is over, and repeats no refusal", async () => {
    const away = new Flowcall({ url: "http://127.0.0.1:1", key: testKey, account, retryMs: 0 });
    await expect(away.run("create-task", {})).rejects.toThrow("fetch failed");
    const error: unknown = await clientWith()
      .run("nothing", {})
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FlowcallError);
    expect(error).toMatchObject({ status: 404, code: "WORKFLOW_NOT_FOUND", requestId: expect.any(String) });
  });

  test("needs an account, and ends its wait when it is told to", async () => {
    await expect(new Flowcall({ url: server.url, key: testKey }).run("create-task", {})).rejects.toThrow(
      "linked account",
    );
    const signal = AbortSignal.timeout(100);
    await expect(client.run("slow-task", {}, { signal, tag: "left" })).rejects.toThrow("timeout");
    expect(await countOf("left")).toBe(1);
  });
});

describe("watch and stop", () => {
  test("a stream that breaks is read on: each event comes once, in order, and the last one is the end", async () => {
    const { id } = await client.run("create-task", {});
    const cut = async (reply: () => Promise<Response>) => {
      const text = await (await reply()).text();
      return new Response(text.slice(0, text.indexOf("\n\n") + 12));
    };
    const events = await listOf(clientWith(cut, lost).watch(id));
    const whole = await listOf(client.watch(id));
    expect(events).toEqual(whole);
    expect(events.map(({ type }) => type)).toEqual([
      "accepted",
      "node_finished",
      "node_finished",
      "node_finished",
      "ended",
    ]);
    await expect(listOf(client.watch("0".repeat(24)))).rejects.toMatchObject({ status: 404 });
  });

  test("stop ends an execution, and says whether it did", async () => {
    const { id } = await client.run("slow-task", {}, { wait: 0 });
    expect(await client.stop(id)).toBe(true);
    expect(await client.stop(id)).toBe(false);
    expect(await client.result(id)).toMatchObject({ status: "ERRORED", id });
  });
});

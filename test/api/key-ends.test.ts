import type { JsonObject } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keyTextOf } from "../../src/domain/keys/api-key.ts";
import { ApiKeyService } from "../../src/gen/flowcall/v1/api_key_pb.ts";
import { WorkflowService } from "../../src/gen/flowcall/v1/workflow_pb.ts";
import { until } from "../support/eventually.ts";
import { type Flowcall, putWorkflow, startBeside, startFlowcall, testKey } from "../support/flowcall.ts";
import { hourAsleep } from "../support/hour-long.ts";
import { type ExecutionCalls, executionCalls } from "./execution-calls.ts";
import { WatchRefused, watchProtocolsOf } from "./watch-protocols.ts";

const { createApiKey, rotateApiKey, revokeApiKey } = ApiKeyService.method;
const { listWorkflows } = WorkflowService.method;

let first: Flowcall;
let second: Flowcall;
let atFirst: ExecutionCalls;
let atSecond: ExecutionCalls;
/** One in which nothing happens for an hour. */
let execution_id: string;

beforeAll(async () => {
  first = await startFlowcall();
  second = await startBeside(first);
  [atFirst, atSecond] = [executionCalls(first.url), executionCalls(second.url)];
  await putWorkflow(first.url, { alias: "hour-long", definition: hourAsleep });
  execution_id = await atFirst.start({ workflow: "hour-long" });
});

afterAll(async () => {
  await second?.stop();
  await first?.stop();
});

type Made = { readonly id: string; readonly key: string };

async function make(fields: JsonObject = {}): Promise<Made> {
  const { message } = await atFirst.ask(createApiKey, { name: "made", scopes: ["read"], ...fields });
  const { key, api_key } = Object(message);
  return { id: api_key.id, key };
}

async function revoke({ id }: Made): Promise<void> {
  await atFirst.ask(revokeApiKey, { api_key_id: id });
}

/** Takes a key away behind the back of all processes. */
async function revokeUntold({ key }: Made): Promise<void> {
  await first.database.query(`update api_key set revoke_time = now() where hash = '${keyTextOf(key).hash}'`);
}

async function isTaken({ protocols }: ExecutionCalls, { key }: Made): Promise<boolean> {
  const [rest] = protocols;
  const reason = (await rest?.call({ method: listWorkflows, fields: {}, key }))?.reason;
  expect([undefined, "INVALID_API_KEY"]).toContain(reason);
  return reason === undefined;
}

describe("a key that is in use on two processes", () => {
  const changes = {
    revoked: revoke,
    rotated: async ({ id }: Made) => void (await atFirst.ask(rotateApiKey, { api_key_id: id })),
  };
  test.each(Object.entries(changes))("is refused at once on the process where it is %s", async (_, end) => {
    const made = await make();
    expect(await isTaken(atFirst, made)).toBe(true);
    await end(made);
    expect(await isTaken(atFirst, made)).toBe(false);
  });

  test.each(Object.entries(changes))(
    "is refused on the other process, once it is %s, before what is cached there ages",
    async (_, end) => {
      const [told, untold] = [await make(), await make()];
      expect([await isTaken(atSecond, told), await isTaken(atSecond, untold)]).toEqual([true, true]);
      await revokeUntold(untold);
      await end(told);
      await until("the other process refuses it", async () => !(await isTaken(atSecond, told)));
      expect(await isTaken(atSecond, untold)).toBe(true);
    },
  );
});

describe("streams of events that a key has opened end with it, over every protocol and on every process", () => {
  const ends = {
    "that is revoked": async () => {
      const made = await make();
      return { ...made, end: () => revoke(made) };
    },
    "that is revoked and no process is told": async () => {
      const made = await make();
      return { ...made, end: () => revokeUntold(made) };
    },
    "that expires": async () => {
      const made = await make({ expire_time: new Date(Date.now() + 2_000).toISOString() });
      return { ...made, end: async () => undefined };
    },
  };
  test.each(Object.entries(ends))("one %s", async (_, open) => {
    const { key, end } = await open();
    const all = [first, second].flatMap(({ url }) => watchProtocolsOf(url));
    const watches = all.map(({ name, watch }) => ({ name, events: watch({ key, fields: { execution_id } }) }));
    await Promise.all(
      watches.map(async ({ name, events }) => {
        expect([name, (await events.next()).value]).toMatchObject([name, { accepted: {} }]);
        expect([name, (await events.next()).value]).toMatchObject([name, { node_finished: { node_id: "1" } }]);
      }),
    );
    const done = new AbortController();
    const other = new Set<string>();
    const others = watchProtocolsOf(second.url).map(async ({ name, watch }) => {
      other.add(name);
      for await (const _ of watch({ key: testKey, fields: { execution_id }, signal: done.signal })) {
      }
      other.delete(name);
    });
    await end();
    for (const { name, events } of watches) {
      const error = await refusalOf(events);
      expect([name, error]).toEqual([name, expect.any(WatchRefused)]);
      expect([name, error]).toMatchObject([name, { reason: "INVALID_API_KEY" }]);
    }
    expect(other.size, "those of another key").toBe(others.length);
    done.abort();
    await Promise.allSettled(others);
  });
});

/** Reads a stream to its end, whatever it tells of before: that the Delay has begun, where it took a while. */
async function refusalOf(events: AsyncIterable<unknown>): Promise<unknown> {
  try {
    for await (const _ of events) {
    }
    return undefined;
  } catch (error) {
    return error;
  }
}

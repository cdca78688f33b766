import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import type { JsonText } from "../../src/domain/json/json-text.ts";
import { ExecutionService } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.ts";
import { DailyQuota } from "../../src/scheduler/limits/daily-quota.ts";
import { DayBytesStore } from "../../src/storage/tenants/daily-bytes-store.ts";
import { executionCalls } from "../api/execution-calls.ts";
import { openStores, type Stores } from "../storage/fixture.ts";
import { eventually } from "../support/eventually.ts";
import { type Flowcall, productionKey, startBeside, startFlowcall, testKey } from "../support/flowcall.ts";

const { executeWorkflow, rerunExecution } = ExecutionService.method;

const log = pino({ level: "silent" });
const hourMs = 3_600_000;
const used = { reason: "DAY_BYTES_USED", details: { metadata: { limit: "environment_day_bytes", value: "100" } } };

describe("the count of a day", () => {
  let stores: Stores;
  /** Half an hour before midnight. */
  const evening = Date.UTC(2026, 0, 31, 23, 30);
  let now = evening;

  beforeAll(async () => {
    stores = await openStores();
  });

  afterAll(() => stores.close());

  function countOf(environmentDayBytesMax = 100): DailyQuota {
    return new DailyQuota({
      store: stores.dayBytes,
      limits: { environmentDayBytesMax },
      now: () => now,
      clock: systemClock,
      log,
    });
  }

  /** An execution whose payload has so many bytes, in two for each character. */
  function sized(environmentId: string, bytes: number) {
    return { environmentId, payload: "é".repeat(bytes / 2) as JsonText };
  }

  test("is off where no limit is set, and tells the database nothing", async () => {
    const count = countOf(0);
    await count.start();
    for (let calls = 0; calls < 10; calls += 1) {
      count.take(sized("off", 1_000));
    }
    expect(count.errorFor(sized("off", 1_000))).toBeUndefined();
    await count.stop();
    expect(await stores.db.selectFrom("environment_day").selectAll().execute()).toEqual([]);
  });

  test("takes what fits, refuses what does not until the day ends, and begins anew with the next", () => {
    now = evening;
    const count = countOf();
    count.take(sized("a", 60));
    count.take(sized("a", 40));
    expect(count.errorFor(sized("a", 2))).toMatchObject({ ...used, details: { retryAfterSeconds: 1_800 } });
    expect(() => count.take(sized("a", 2))).toThrow(expect.objectContaining({ reason: "DAY_BYTES_USED" }));
    expect(count.errorFor(sized("b", 100))).toBeUndefined();
    now += hourMs;
    count.take(sized("a", 100));
    expect(count.errorFor(sized("a", 2))).toMatchObject({ details: { retryAfterSeconds: 23.5 * 3_600 } });
  });

  test("is that of all processes, of those that have ended too, and of a day that a clock was set back to", async () => {
    now = evening;
    const first = countOf();
    const second = countOf();
    first.take(sized("shared", 60));
    await first.stop();
    expect(second.errorFor(sized("shared", 50))).toBeUndefined();
    await second.start();
    expect(second.errorFor(sized("shared", 50))).toMatchObject(used);
    second.take(sized("shared", 40));
    now += hourMs;
    second.take(sized("shared", 50));
    now = evening;
    second.errorFor(sized("shared", 2));
    await second.stop();
    // What was taken before midnight in the last second is not told, since the next day has begun.
    expect(second.errorFor(sized("shared", 50))).toMatchObject(used);
  });

  test("goes without what was not accepted, and is told again after an answer that was lost", async () => {
    now = evening;
    const lost = new DailyQuota({
      store: {
        exchange: async (counts) => {
          await stores.dayBytes.exchange(counts);
          throw new Error("lost");
        },
      },
      limits: { environmentDayBytesMax: 100 },
      now: () => now,
      clock: systemClock,
      log,
    });
    const big = sized("lost", 60);
    for (let refused = 0; refused < 2; refused += 1) {
      lost.take(big)();
    }
    lost.take(big);
    await lost.stop();
    await lost.stop();
    const other = countOf();
    other.errorFor(sized("lost", 2));
    await other.start();
    expect(other.errorFor(sized("lost", 40))).toBeUndefined();
    expect(other.errorFor(sized("lost", 42))).toMatchObject(used);
    await other.stop();
  });

  test("is deleted when its day is over for every process", async () => {
    const store = new DayBytesStore(stores.db);
    const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10);
    const [today, old] = [Date.now(), Date.now() - 72 * hourMs].map(dayOf);
    for (const day of [today, old]) {
      await store.exchange({ owner: "janitor", day: day ?? "", bytes: new Map([["x", 1]]) });
    }
    await store.deletePast();
    const rows = await stores.db
      .selectFrom("environment_day")
      .select(["owner", "bytes"])
      .where("owner", "=", "janitor")
      .execute();
    expect(rows).toEqual([{ owner: "janitor", bytes: 1 }]);
  });
});

describe("an environment with a limit of bytes a day", () => {
  let first: Flowcall;
  let second: Flowcall;
  const payload = { text: "x".repeat(400) };

  beforeAll(async () => {
    const environment = { FLOWCALL_ENVIRONMENT_DAY_BYTES: "1000" };
    first = await startFlowcall(environment);
    second = await startBeside(first, environment);
  });

  afterAll(async () => {
    await second?.stop();
    await first?.stop();
  });

  test("is refused more at every process and on every protocol, and what it has begun already is answered again", async () => {
    const [atFirst, atSecond] = [executionCalls(first.url), executionCalls(second.url)];
    const fields = { workflow: "create-task", linked_account_id: "john@acme.io", payload };
    const keyed = { ...fields, idempotency_key: "of-today" };
    const id = await atFirst.start(keyed);
    // A repetition adds nothing, wherever it comes.
    for (const calls of [atFirst, atSecond]) {
      expect(await calls.start(keyed)).toBe(id);
    }
    expect(await atSecond.start({ ...fields, sync_execution: true })).not.toBe("");

    const refusal = { status: 429, code: "ResourceExhausted", reason: "DAY_BYTES_USED" };
    // Until they have heard of each other, each finds out that there is no such workflow.
    const probe = { ...fields, workflow: "nobody" };
    await eventually(async () => {
      for (const calls of [atFirst, atSecond]) {
        expect((await calls.ask(executeWorkflow, probe)).reason).toBe("DAY_BYTES_USED");
      }
    });
    for (const calls of [atFirst, atSecond]) {
      await calls.checkRefused(executeWorkflow, fields, refusal);
      await calls.checkRefused(executeWorkflow, { ...fields, sync_execution: true }, refusal);
      await calls.checkRefused(executeWorkflow, { ...fields, idempotency_key: "new" }, refusal);
      await calls.checkRefused(rerunExecution, { execution_id: id }, refusal);
      expect(await calls.start(keyed)).toBe(id);
    }
    const { headers } = await atFirst.ask(executeWorkflow, fields);
    expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
    expect(Number(headers.get("retry-after"))).toBeLessThanOrEqual(86_400);

    const client = createClient(ExecutionService, createGrpcTransport({ baseUrl: second.url }));
    const call = { workflow: "create-task", linkedAccountId: "john@acme.io", payload };
    const error = await client.executeWorkflow(call, { headers: { "x-api-key": testKey } }).then(
      () => undefined,
      (reason: unknown) => ConnectError.from(reason),
    );
    expect(error?.code).toBe(Code.ResourceExhausted);
    expect(error?.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason: "DAY_BYTES_USED", metadata: { limit: "environment_day_bytes", value: "1000" } },
    ]);
    const other = await client.executeWorkflow(call, { headers: { "x-api-key": productionKey } });
    expect(other.executionId).not.toBe("");
  });
});

import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { sql } from "kysely";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { App } from "../src/app.ts";
import { readConfig } from "../src/config.ts";
import { systemClock } from "../src/domain/clock.ts";
import { EventLoopYielder } from "../src/domain/event-loop-yielder.ts";
import { newId } from "../src/domain/id.ts";
import { RateLimiter } from "../src/domain/limits/rate-limit.ts";
import { defaultLimits } from "../src/domain/limits.ts";
import type { Service } from "../src/domain/service.ts";
import { parseEgressAllow } from "../src/engine/http/egress-allow-list.ts";
import { HttpClient } from "../src/engine/http/http-client.ts";
import { ProcessPool } from "../src/engine/pool/process-pool.ts";
import { Sealing } from "../src/scheduler/encryption/sealing.ts";
import { Capacity } from "../src/scheduler/limits/capacity.ts";
import { DailyQuota } from "../src/scheduler/limits/daily-quota.ts";
import { Lease } from "../src/scheduler/process/lease.ts";
import { PeriodicTask } from "../src/scheduler/process/periodic-task.ts";
import { Janitor } from "../src/scheduler/rescue/janitor.ts";
import { Rescuer } from "../src/scheduler/rescue/rescuer.ts";
import { createSchedulerEvents } from "../src/scheduler/run/scheduler-events.ts";
import { VersionCache } from "../src/scheduler/run/version-cache.ts";
import { Scheduler } from "../src/scheduler/scheduler.ts";
import { Waiters } from "../src/scheduler/waiting/waiters.ts";
import { Watchers } from "../src/scheduler/waiting/watchers.ts";
import { Admission } from "../src/server/admission/admission.ts";
import { DecompressionQueue } from "../src/server/bodies/decompression-queue.ts";
import { defaultServerLimits } from "../src/server/limits/server-limits.ts";
import { Listener } from "../src/server/listener.ts";
import { Server } from "../src/server/server.ts";
import { ClaimQueue } from "../src/storage/claims/claim-queue.ts";
import { ClaimStore } from "../src/storage/claims/claim-store.ts";
import { LeaseStore } from "../src/storage/claims/lease-store.ts";
import { OwnerReaper } from "../src/storage/claims/owner-reaper.ts";
import { EmbeddedPostgres } from "../src/storage/embedded/embedded-postgres.ts";
import { ChildStore } from "../src/storage/executions/children.ts";
import { ExecutionStore } from "../src/storage/executions/execution-store.ts";
import { HistoryDays } from "../src/storage/executions/history-days.ts";
import { SignalStore } from "../src/storage/executions/signals.ts";
import { ExecutionEvents } from "../src/storage/history/execution-events.ts";
import { ExecutionReader } from "../src/storage/history/execution-reader.ts";
import { Database } from "../src/storage/postgres/database.ts";
import { isUnavailable } from "../src/storage/postgres/database-errors.ts";
import { Notifier } from "../src/storage/postgres/notifier.ts";
import { DueSchedules } from "../src/storage/schedules/due-schedules.ts";
import { ConfigStore } from "../src/storage/tenants/config-store.ts";
import { DayBytesStore } from "../src/storage/tenants/daily-bytes-store.ts";
import { DeliveryStore } from "../src/storage/webhooks/delivery-store.ts";
import { WatchedEnvironments } from "../src/storage/webhooks/watched-environments.ts";
import { DraftStore } from "../src/storage/workflows/draft-store.ts";
import { VersionStore } from "../src/storage/workflows/version-store.ts";
import { WorkflowStore } from "../src/storage/workflows/workflow-store.ts";
import { computeOf } from "./support/pool.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { makeDataDir } from "./support/server-process.ts";

const log = pino({ level: "silent" });
const limits = defaultLimits;
const clock = systemClock;
const allow = parseEgressAllow("");
const host = "127.0.0.1";

let testDatabase: TestDatabase;
let database: Database;
let data: Awaited<ReturnType<typeof makeDataDir>>;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  data = await makeDataDir();
  database = new Database({ connection: () => testDatabase.connection, log });
  await database.start();
});

afterAll(async () => {
  await database.stop();
  await testDatabase.drop();
  await data.remove();
});

/** Each service, freshly made over parts that run. */
const services: Readonly<Record<string, () => Service>> = {
  App: () => {
    const config = readConfig({
      FLOWCALL_PORT: "0",
      FLOWCALL_DATABASE_URL: testDatabase.url,
      FLOWCALL_DATA_DIR: `${data.dataDir}/app`,
    });
    return new App({ config, log });
  },
  Database: () => new Database({ connection: () => testDatabase.connection, log }),
  EmbeddedPostgres: () => new EmbeddedPostgres({ dataDir: `${data.dataDir}/embedded`, log }),
  Notifier: () => new Notifier({ connection: () => testDatabase.connection, log }),
  HttpClient: () => new HttpClient({ allow }),
  ProcessPool: () => new ProcessPool(limits),
  DailyQuota: () =>
    new DailyQuota({
      store: new DayBytesStore(database.db),
      limits: { environmentDayBytesMax: 1 },
      now: () => clock.now(),
      clock,
      log,
    }),
  Lease: () =>
    new Lease({
      leases: new LeaseStore(database.db),
      owner: newId(),
      capacity: new Capacity(limits),
      rates: new RateLimiter(limits, clock),
      clock,
      log,
    }),
  Listener: () =>
    new Listener({
      host,
      port: 0,
      limits: defaultServerLimits,
      log,
      receiver: { receive: () => undefined },
      exchange: {
        limits: defaultServerLimits,
        admission: new Admission(defaultServerLimits, new EventLoopYielder()),
        decompressions: new DecompressionQueue(),
      },
      penalties: { isActive: false, penaltyOf: () => undefined },
      queuedRequests: new Set(),
    }),
  PeriodicTask: () => new PeriodicTask({ name: "test", everyMs: 1, runOnce: async () => undefined, clock, log }),
  Janitor: () =>
    new Janitor({
      executions: new ExecutionStore(database.db),
      signals: new SignalStore(database.db),
      children: new ChildStore(database.db),
      onMissed: () => undefined,
      drafts: new DraftStore(database.db),
      dayBytes: new DayBytesStore(database.db),
      days: new HistoryDays(database.db),
      retentionMs: limits.retentionMs,
      clock,
      log,
    }),
  Rescuer: () =>
    new Rescuer({
      executions: new ExecutionStore(database.db),
      children: new ChildStore(database.db),
      claims: new ClaimStore(database.db),
      queue: new ClaimQueue(database.db),
      reaper: new OwnerReaper(database.db),
      owner: newId(),
      capacity: new Capacity(limits),
      runs: { has: () => false, takeUp: async () => "runs" as const },
      events: createSchedulerEvents(),
      lease: {
        isHeld: () => true,
        isSteady: () => true,
        databaseNow: () => Date.now(),
        clockSetMs: undefined,
        correctedClock: () => undefined,
      },
      limits,
      isUnavailable,
      clock,
      log,
    }),
  Watchers: () =>
    new Watchers({
      journals: new ExecutionEvents(database.db),
      events: createSchedulerEvents(),
      limits,
      clock,
      log,
    }),
  Scheduler: () =>
    new Scheduler({
      ...computeOf(limits),
      http: new HttpClient({ allow }),
      executions: new ExecutionStore(database.db),
      claims: new ClaimStore(database.db),
      signals: new SignalStore(database.db),
      children: new ChildStore(database.db),
      deliveries: new DeliveryStore(database.db),
      watchedEnvironments: new WatchedEnvironments(database.db),
      callbackUrl: () => undefined,
      readVariables: () => Promise.reject(new Error("no node reads a variable")),
      openConnection: () => Promise.reject(new Error("no node has a connection")),
      queue: new ClaimQueue(database.db),
      reaper: new OwnerReaper(database.db),
      reader: new ExecutionReader(database.db),
      workflows: new WorkflowStore(database.db),
      drafts: new DraftStore(database.db),
      versions: new VersionCache({ ...computeOf(limits), versions: new VersionStore(database.db), limits }),
      configs: new ConfigStore(database.db),
      leases: new LeaseStore(database.leaseDb),
      dayBytes: new DayBytesStore(database.db),
      dueSchedules: new DueSchedules(database.db),
      days: new HistoryDays(database.db),
      rates: new RateLimiter(limits, clock),
      notifier: new Notifier({ connection: () => testDatabase.connection, log }),
      events: createSchedulerEvents(),
      sealing: new Sealing(() => []),
      isUnavailable,
      limits,
      clock,
      log,
    }),
  Server: () =>
    new Server({
      host,
      port: 0,
      protocolHandlers: [],
      keys: { authenticate: async () => undefined, untilEnded: async () => undefined },
      tokens: {
        authenticate: () => Promise.reject(new Error("no token is asked for")),
        untilEnded: async () => undefined,
      },
      yielder: new EventLoopYielder(),
      isReady: () => true,
      limits: defaultServerLimits,
      log,
    }),
  Waiters: () =>
    new Waiters({
      executions: new ExecutionStore(database.db),
      runs: { has: () => false, ids: [], supersede: () => undefined },
      events: createSchedulerEvents(),
      clock,
      log,
    }),
};

/**
 * The timers that a service has armed, that still run and keep the process alive; not those of the pool of connections
 * below it.
 */
class OwnTimers {
  readonly #service = new AsyncLocalStorage<true>();
  readonly #running = new Map<number, { readonly timer: object; readonly stack: string }>();
  readonly #hook = createHook({
    init: (id, type, _trigger, timer) => {
      if (type !== "Timeout" || this.#service.getStore() === undefined) {
        return;
      }
      const { stack = "" } = new Error("armed here");
      if (!stack.includes("node_modules/pg")) {
        this.#running.set(id, { timer, stack });
      }
    },
    destroy: (id) => void this.#running.delete(id),
  }).enable();

  async of(use: () => Promise<void>): Promise<readonly string[]> {
    await this.#service.run(true, use);
    // What still worked for the service would ask the database before it armed another; ended timers are told of later.
    await sql`select 1`.execute(database.db);
    await new Promise((resolve) => setImmediate(resolve));
    this.#hook.disable();
    const kept = [...this.#running.values()].filter(({ timer }) => !("hasRef" in timer) || Object(timer).hasRef());
    return kept.map(({ stack }) => stack);
  }
}

describe.each(Object.entries(services))("the service %s", (_, create) => {
  test("can be stopped before it starts, and twice", async () => {
    const service = create();
    await service.stop();
    await service.stop();
  });

  test("starts, stops, and stops again, and leaves no timer behind", async () => {
    const timers = await new OwnTimers().of(async () => {
      const service = create();
      await service.start();
      await Promise.all([service.stop(), service.stop()]);
      await service.stop();
    });
    expect(timers).toEqual([]);
  });
});

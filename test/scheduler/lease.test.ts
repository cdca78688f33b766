import { pino } from "pino";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import { RateLimiter } from "../../src/domain/limits/rate-limit.ts";
import { defaultLimits } from "../../src/domain/limits.ts";
import { Capacity } from "../../src/scheduler/limits/capacity.ts";
import { Lease } from "../../src/scheduler/process/lease.ts";
import { LeaseStore } from "../../src/storage/claims/lease-store.ts";
import { Database } from "../../src/storage/postgres/database.ts";
import { Line } from "../faults/line.ts";
import { until } from "../support/eventually.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

const log = pino({ level: "silent" });

let postgres: TestDatabase;
let database: Database;
let line: Line;
let lease: Lease;

beforeAll(async () => {
  postgres = await createTestDatabase();
  line = new Line(inject("postgres"));
  await line.set("open");
  const { user, database: name } = postgres.connection;
  const connection = { host: "127.0.0.1", port: line.port, user, database: name };
  database = new Database({ connection: () => connection, log });
  lease = new Lease({
    leases: new LeaseStore(database.leaseDb),
    owner: "a",
    capacity: new Capacity(defaultLimits),
    rates: new RateLimiter(defaultLimits, systemClock),
    clock: systemClock,
    log,
  });
  await lease.start();
});

afterAll(async () => {
  await lease.stop();
  await database.stop();
  await line.set("cut");
  await postgres.drop();
});

test("a process that has just begun judges who lives; after a break, its session's too, only when all had time to renew", async () => {
  expect(lease.isSteady()).toBe(true);
  await postgres.query("select pg_terminate_backend(session_pid) from lease");
  await until("others may no longer be judged", () => !lease.isSteady());
  await until("the lease is renewed", () => lease.isFresh() && lease.isHeld());
  expect(lease.isSteady()).toBe(false);
  await until("others may be judged again", () => lease.isSteady());
});

test("a process that cannot renew its lease takes it for lost before others do, and holds it again when it is renewed", async () => {
  await line.set("silent");
  await until("the lease is lost", () => !lease.isHeld());
  const { rows } = await postgres.query("select expire_time > now() as is_alive from lease");
  expect(rows).toEqual([{ is_alive: true }]);
  const held = lease.whenHeld();
  await line.set("open");
  await held;
  expect([lease.isHeld(), lease.isFresh()]).toEqual([true, true]);
});

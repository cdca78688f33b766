import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "../../src/domain/id.ts";
import { Notifier } from "../../src/storage/postgres/notifier.ts";
import { until } from "../support/eventually.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

let database: TestDatabase;
let sender: Notifier;
let receiver: Notifier;
const bySender: (readonly string[] | undefined)[] = [];
const received: (readonly string[] | undefined)[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  const options = { connection: () => database.connection, log: pino({ level: "silent" }) };
  sender = new Notifier(options);
  receiver = new Notifier(options);
  sender.listen("ended", (ids) => bySender.push(ids));
  receiver.listen("ended", (ids) => received.push(ids));
  await sender.start();
  await receiver.start();
});

afterAll(async () => {
  await sender.stop();
  await receiver.stop();
  await database.drop();
});

test("notifications of one moment arrive at the others as one, and too many ids as none", async () => {
  expect([bySender.splice(0), received.splice(0)], "when they begin to listen").toEqual([[undefined], [undefined]]);
  for (const id of ["a", "b", "a"]) {
    sender.notify("ended", id);
  }
  sender.notify("queued");
  await until("the receiver is called", () => received.length > 0);
  expect(received.splice(0)).toEqual([["a", "b"]]);
  for (let count = 0; count < 1_000; count += 1) {
    sender.notify("ended", newId());
  }
  await until("the receiver is called", () => received.length > 0);
  expect(received.splice(0)).toEqual([undefined]);
  expect(bySender).toEqual([]);
});

test("a listener that had no connection for a while is called for everything, and receives again", async () => {
  await database.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'flowcall-notifier'",
  );
  await until("both are called", () => received.length > 0 && bySender.length > 0);
  expect(received.splice(0)).toEqual([undefined]);
  sender.notify("ended", "c");
  await until("the receiver is called", () => received.length > 0);
  expect(received.splice(0)).toEqual([["c"]]);
});

test("what others send on the channel breaks nothing", async () => {
  for (const payload of ["no JSON", "null", "[]", '{"ended": 1}', '{"ended": [1]}']) {
    await database.query(`select pg_notify('flowcall', '${payload}')`);
  }
  await until("the receiver is called twice", () => received.length === 2);
  expect(received.splice(0)).toEqual([undefined, ["1"]]);
});

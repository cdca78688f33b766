import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "../../src/domain/id.ts";
import { Notifier } from "../../src/storage/postgres/notifier.ts";
import { until } from "../support/eventually.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

let database: TestDatabase;
let sender: Notifier;
let receiver: Notifier;
const told: (readonly string[] | undefined)[] = [];
const heard: (readonly string[] | undefined)[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  const options = { connection: () => database.connection, log: pino({ level: "silent" }) };
  sender = new Notifier(options);
  receiver = new Notifier(options);
  sender.listen("ended", (ids) => told.push(ids));
  receiver.listen("ended", (ids) => heard.push(ids));
  await sender.start();
  await receiver.start();
});

afterAll(async () => {
  await sender.stop();
  await receiver.stop();
  await database.drop();
});

test("what is told within a moment is heard by the others in one piece, and too much of it as all", async () => {
  expect([told.splice(0), heard.splice(0)], "when they begin to listen").toEqual([[undefined], [undefined]]);
  for (const id of ["a", "b", "a"]) sender.notify("ended", id);
  sender.notify("queued");
  await until("the other hears something", () => heard.length > 0);
  expect(heard.splice(0)).toEqual([["a", "b"]]);
  for (let count = 0; count < 1_000; count += 1) sender.notify("ended", newId());
  await until("the other hears something", () => heard.length > 0);
  expect(heard.splice(0)).toEqual([undefined]);
  expect(told).toEqual([]);
});

test("who could not hear for a while is told to look at all, and hears again", async () => {
  await database.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'flowcall-notifier'",
  );
  await until("both hear something", () => heard.length > 0 && told.length > 0);
  expect(heard.splice(0)).toEqual([undefined]);
  sender.notify("ended", "c");
  await until("the other hears something", () => heard.length > 0);
  expect(heard.splice(0)).toEqual([["c"]]);
});

test("what others send on the channel breaks nothing", async () => {
  for (const payload of ["no JSON", "null", "[]", '{"ended": 1}', '{"ended": [1]}']) {
    await database.query(`select pg_notify('flowcall', '${payload}')`);
  }
  await until("the other hears two", () => heard.length === 2);
  expect(heard.splice(0)).toEqual([undefined, ["1"]]);
});

import { describe, expect, test } from "vitest";
import { Timetable, type Timing } from "../../../src/domain/schedules/timetable.ts";

function timesOf(timing: Partial<Timing>, from: string, count: number): readonly (string | undefined)[] {
  const timetable = new Timetable({ timeZone: "UTC", times: [], ...timing });
  const found: (string | undefined)[] = [];
  for (let time: Date | undefined = new Date(from); time !== undefined && found.length < count; ) {
    time = timetable.next(time);
    found.push(time?.toISOString().replace(":00.000Z", ""));
  }
  return found;
}

describe("a time of day in Berlin", () => {
  const berlin = { timeZone: "Europe/Berlin" };

  test("that the clock leaves out counts once, when the jump is over", () => {
    const times = timesOf({ ...berlin, cron: "30 2 * * *" }, "2026-03-28T00:00:00Z", 3);
    expect(times).toEqual(["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]);
  });

  test("that comes twice counts once", () => {
    const times = timesOf({ ...berlin, cron: "30 2 * * *" }, "2026-10-24T00:00:00Z", 3);
    expect(times).toEqual(["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]);
  });

  test("every half hour keeps its distance over both jumps", () => {
    const spring = timesOf({ ...berlin, cron: "*/30 * * * *" }, "2026-03-29T00:10:00Z", 4);
    expect(spring).toEqual(["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30", "2026-03-29T02:00"]);
    const autumn = timesOf({ ...berlin, cron: "*/30 * * * *" }, "2026-10-25T00:10:00Z", 4);
    expect(autumn).toEqual(["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-25T02:00"]);
  });
});

describe("the next time", () => {
  test("is behind the one before, also within its second", () => {
    expect(timesOf({ cron: "* * * * *" }, "2026-01-01T11:59:59.999Z", 1)).toEqual(["2026-01-01T12:00"]);
    expect(timesOf({ cron: "* * * * *" }, "2026-01-01T12:00:00.000Z", 1)).toEqual(["2026-01-01T12:01"]);
    expect(timesOf({ cron: "* * * * *" }, "2026-01-01T12:00:00.001Z", 1)).toEqual(["2026-01-01T12:01"]);
  });

  test("lies within the bounds, both included", () => {
    const bounds = { startTime: new Date("2026-01-01T12:00:00Z"), endTime: new Date("2026-01-01T12:02:00Z") };
    expect(timesOf({ ...bounds, cron: "* * * * *" }, "2026-01-01T00:00:00Z", 9)).toEqual([
      "2026-01-01T12:00",
      "2026-01-01T12:01",
      "2026-01-01T12:02",
      undefined,
    ]);
  });

  test("is the next of single times, and then none", () => {
    const times = [new Date("2026-01-01T00:00:00Z"), new Date("2026-02-01T00:00:00Z")];
    expect(timesOf({ times }, "2025-12-31T00:00:00Z", 9)).toEqual(["2026-01-01T00:00", "2026-02-01T00:00", undefined]);
  });

  test("of what never comes is none", () => {
    expect(timesOf({ cron: "0 0 31 2 *" }, "2026-01-01T00:00:00Z", 1)).toEqual([undefined]);
  });
});

test("times that have passed are counted, and the last one is found however many there are", () => {
  const timetable = new Timetable({ cron: "* * * * *", timeZone: "UTC", times: [] });
  const first = new Date("2026-01-01T00:00:00Z");
  const passed = (now: string) => {
    const { count, last } = timetable.passed(first, new Date(now));
    return [count, last.toISOString()];
  };
  expect(passed("2026-01-01T00:00:59Z")).toEqual([1, "2026-01-01T00:00:00.000Z"]);
  expect(passed("2026-01-01T00:02:00Z")).toEqual([3, "2026-01-01T00:02:00.000Z"]);
  expect(passed("2026-01-31T00:02:30Z")).toEqual([200, "2026-01-31T00:02:00.000Z"]);
});

test.each([
  ["six fields", { cron: "* * * * * *" }],
  ["a minute that there is not", { cron: "61 * * * *" }],
  ["no fields", { cron: "" }],
  ["words", { cron: "every day" }],
  ["a zone that there is not", { cron: "* * * * *", timeZone: "Mars/Olympus" }],
])("%s are refused", (_, timing) => {
  expect(() => new Timetable({ timeZone: "UTC", times: [], ...timing }).next(new Date())).toThrow();
});

import { expect, test } from "vitest";
import { entityTags } from "../src/domain/entity-tags.ts";
import { answerValue } from "../src/engine/nodes/answer-value.ts";
import { retryAfterMs } from "../src/engine/nodes/retry-after.ts";
import { acceptsGzip, acceptsProblem } from "../src/gateway/accept.ts";
import { bodyType } from "../src/gateway/content-type.ts";

type Parser = (text: string) => unknown;

const head = (name: string, value: string) => ({ headers: new Map([[name, [value]]]) });
const bytes = Buffer.from("[1]");

const parsers: Readonly<Record<string, Parser>> = {
  "If-Match": entityTags,
  "Retry-After": (text) => retryAfterMs(text, 0),
  Accept: (text) => acceptsProblem(head("accept", text).headers),
  "Accept-Encoding": (text) => acceptsGzip(head("accept-encoding", text).headers),
  "a call's Content-Type": (text) =>
    refusalOf(() => bodyType({ ...head("content-type", text), method: "POST", path: "/", query: "" })),
  "an answer's Content-Type": (type) => refusalOf(() => answerValue({ bytes, type, isBodiless: false }, "AUTO")),
};

/** Headers of a length, each the worst that is known for some way of reading them. */
const worst: readonly ((length: number) => string)[] = [
  (length) => " ".repeat(length),
  (length) => `${" ".repeat(length - 1)}x`,
  (length) => ",".repeat(length),
  (length) => ", ".repeat(length / 2),
  (length) => '"'.repeat(length),
  (length) => '"a",'.repeat(length / 4),
  (length) => `"${"a".repeat(length - 1)}`,
  (length) => "W/".repeat(length / 2),
  (length) => "9".repeat(length),
  (length) => `Sun, ${"0".repeat(length - 5)}`,
  (length) => `application/json${" ".repeat(length - 17)}x`,
  (length) => `application/json;${" charset".repeat(length / 8 - 3)}`,
  (length) => `application/json${";charset= ".repeat(length / 10 - 2)}`,
  (length) => `text/html;q=0.${"1".repeat(length - 14)}`,
  (length) => "*;q=1,".repeat(length / 6),
  (length) => `a/xml;${"; ".repeat(length / 2 - 4)}charset`,
];

const cases = Object.entries(parsers).flatMap(([name, parse]) =>
  worst.map((make, index) => ({ name, index, parse, make })),
);

test.each(cases)("$name takes linear time for its worst header $index", ({ parse, make }) => {
  const best = (length: number) => {
    const text = make(length);
    const times = Array.from({ length: 5 }, () => {
      // What others on the machine take does not count.
      const start = process.threadCpuUsage();
      // Many times over, so that the clock's grain does not count.
      for (let turn = 0; turn < 5; turn += 1) parse(text);
      const { user, system } = process.threadCpuUsage(start);
      return (user + system) / 1_000;
    });
    return Math.min(...times);
  };
  best(16_384);
  // What takes less than this is no matter, and what the clock and others on the machine make of it is not told apart.
  const graceMs = 50;
  expect(best(16_384)).toBeLessThan(8 * best(4_096) + graceMs);
});

test.each([
  ['"a"', ['"a"']],
  ['W/"a" , "b,c",, ""', ['W/"a"', '"b,c"', '""']],
  ["", []],
  ['"a" "b"', undefined],
  ['"a', undefined],
  ["a", undefined],
  ['w/"a"', undefined],
  ['"a b"', undefined],
  ["*", undefined],
])("the entity tags of %s", (text, expected) => {
  expect(entityTags(text)?.map(({ isWeak, opaque }) => `${isWeak ? "W/" : ""}${opaque}`)).toEqual(expected);
});

const now = Date.parse("2026-01-31T09:00:00Z");
test.each([
  ["17", 17_000],
  [" 1 ", 1_000],
  ["99999999999999999999", 3_600_000],
  ["Sat, 31 Jan 2026 09:00:40 GMT", 40_000],
  ["Saturday, 31-Jan-26 09:00:40 GMT", 40_000],
  ["Sat Jan 31 09:00:40 2026", 40_000],
  ["Sun Feb  1 09:00:00 2026", 3_600_000],
  ["Sunday, 06-Nov-94 08:49:37 GMT", 0],
  ["Sat, 31 Jan 2026 09:00:40", 0],
  ["Mon, 31 Feb 2026 09:00:40 GMT", 0],
  ["Sat, 31 Jan 2026 24:00:40 GMT", 0],
  ["2026-01-31T09:00:40Z", 0],
  ["-5", 0],
  ["1.5", 0],
  ["soon", 0],
  ["", 0],
])("Retry-After: %s asks for %i ms", (text, expected) => expect(retryAfterMs(text, now)).toBe(expected));

/** What a parser says, or why it refuses. */
function refusalOf(parse: () => unknown): unknown {
  try {
    return parse();
  } catch (refusal) {
    if (refusal instanceof Error) return refusal.message;
    throw refusal;
  }
}

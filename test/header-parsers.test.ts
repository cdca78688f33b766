import { expect, test } from "vitest";
import { chainLength } from "../src/domain/http/call-chain.ts";
import { entityTags } from "../src/domain/http/entity-tags.ts";
import { answerValue } from "../src/engine/nodes/answer-value.ts";
import { hasRelation, parseLinks } from "../src/engine/nodes/link-header.ts";
import { retryAfterMs } from "../src/engine/nodes/retry-after.ts";
import { acceptsGzip, acceptsProblem } from "../src/gateway/accept.ts";
import { bodyType } from "../src/gateway/content-type.ts";
import { preferenceOf, unquoted } from "../src/rpc/chain/preference.ts";
import { formatOfType } from "../src/rpc/connect/rpc-format.ts";

type Parser = (text: string) => unknown;

const head = (name: string, value: string) => ({ headers: new Map([[name, [value]]]) });
const bytes = Buffer.from("[1]");

const parsers: Readonly<Record<string, Parser>> = {
  "If-Match": entityTags,
  Link: nextLinks,
  Prefer: (text) => preferenceOf([text], "wait"),
  "CDN-Loop": chainLength,
  "Idempotency-Key": unquoted,
  "Retry-After": (text) => retryAfterMs(text, 0),
  Accept: (text) => acceptsProblem(head("accept", text).headers),
  "Accept-Encoding": (text) => acceptsGzip(head("accept-encoding", text).headers),
  "a call's Content-Type": (text) =>
    refusalOf(() => bodyType({ ...head("content-type", text), method: "POST", path: "/", query: "" })),
  "a call's Content-Type over gRPC and Connect": formatOfType,
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
  (length) => `a/b;${Array.from({ length: length / 8 }, (_, index) => `p${index}=1`).join(";")}`,
  (length) => `a/b;p="${"\\a".repeat(length / 2 - 4)}`,
  (length) => "a/b,".repeat(length / 4),
  (length) => "flowcall;".repeat(length / 9),
  (length) => "<".repeat(length),
  (length) => "<>,".repeat(length / 3),
  (length) => `<>${" ".repeat(length - 3)}x`,
  (length) => `<>;${" ".repeat(length - 4)}=`,
  (length) => `<>;a=${" ".repeat(length - 6)}"`,
  (length) =>
    `<>${Array.from({ length: length / 16 }, (_, index) => `;a${index}=b`).join("")};rel="${"x ".repeat(length / 4)}"`,
  (length) => `a =${" ".repeat(length - 4)}"`,
  (length) => `wait="${"\\".repeat(length / 2 - 4)}`,
  (length) => `wait=(${"a ".repeat(length / 2 - 4)})`,
  (length) => `wait=1${";a=1".repeat(length / 4 - 2)}`,
  (length) => "wait=(,".repeat(length / 7),
];

const cases = Object.entries(parsers).flatMap(([name, parse]) =>
  worst.map((make, index) => ({ name, index, parse, make })),
);

test.each(cases)("$name takes linear time for its worst header $index", ({ parse, make }) => {
  /** The time of so many turns, many enough that the clock's grain counts little. */
  const best = (length: number, turns: number) => {
    const text = make(length);
    const times = Array.from({ length: 5 }, () => {
      // What others on the machine take does not count.
      const start = process.threadCpuUsage();
      for (let turn = 0; turn < turns; turn += 1) {
        parse(text);
      }
      const { user, system } = process.threadCpuUsage(start);
      return (user + system) / 1_000;
    });
    return Math.min(...times);
  };
  best(16_384, 5);
  // A fourth of the turns, so that eight times as long for each is twice as long for all. What takes less than this is no
  // matter, and the grain of the clock.
  const graceMs = 20;
  expect(best(16_384, 5)).toBeLessThan(2 * best(4_096, 20) + graceMs);
});

test.each<readonly [string, readonly string[] | undefined]>([
  ['</2>; rel="next"', ["/2"]],
  ["</1>; rel=prev , </2>; rel=next", ["/2"]],
  ['</2>; crossorigin; rel="next"', ["/2"]],
  ["</1>; crossorigin, </2>; REL = NEXT;", ["/2"]],
  ['</2>; rel="last\tNext"', ["/2"]],
  ["</0>; rel; rel=next, </1>; rel=prev; rel=next", []],
  ['</0>; title="a\\", </1>; rel=next", </2>; rel=next', ["/2"]],
  ["</a,b;c>;;rel=next;title*=UTF-8''%41, , </2> ; rel=\"next\"", ["/a,b;c", "/2"]],
  [" ,, </2>;rel=next ,", ["/2"]],
  ["</__proto__>; __proto__=x; rel=next", ["/__proto__"]],
  ["", []],
  ["/2; rel=next", undefined],
  ["</2; rel=next", undefined],
  ["</2> rel=next", undefined],
  ["</2>; rel=next </3>; rel=last", ["/2"]],
  ['</2>; rel="next', undefined],
  ['</2>; rel="next"x', undefined],
])("the links to the next page of %s", (text, expected) => expect(nextLinks(text)).toEqual(expected));

test.each<readonly [string, "problem" | undefined, "gzip" | undefined]>([
  ['a/b;p="x, application/problem+json;q=1", gzip;q=0', undefined, undefined],
  ['application/problem+json;p="a,b";q=0.5, *;q=0.1', "problem", "gzip"],
  ["application/json, application/problem+json, gzip;q=0, *", "problem", undefined],
  ["application/problem+json;q=0.5, application/json, GZIP", undefined, "gzip"],
  ["application/problem+json;q=2, gzip;q=x", undefined, undefined],
])("Accept and Accept-Encoding: %s", (text, problem, gzip) => {
  expect(acceptsProblem(head("accept", text).headers)).toBe(problem !== undefined);
  expect(acceptsGzip(head("accept-encoding", text).headers)).toBe(gzip !== undefined);
});

test.each([
  ["text/plain; charset=ISO-8859-15", "€"],
  ['text/plain; title="a; charset=utf-8"; Charset = "iso-8859-15"', "€"],
  ['text/plain; title="a\\"; charset=utf-8"; charset=iso-8859-15', "€"],
  ["text/plain; charset=; charset=utf-8", { base64: "pA==" }],
  ["text/plain; title=charset=iso-8859-15", { base64: "pA==" }],
])("an answer of the type %s is in the charset that it names", (type, expected) => {
  const value = answerValue({ bytes: Buffer.from([0xa4]), type, isBodiless: false }, "AUTO");
  if (typeof expected === "string") {
    expect(value).toBe(expected);
  } else {
    expect(value).toMatchObject(expected);
  }
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

function nextLinks(text: string): readonly string[] | undefined {
  return parseLinks(text)
    ?.filter((link) => hasRelation(link, "next"))
    .map(({ target }) => target);
}

/** What a parser says, or why it refuses. */
function refusalOf(parse: () => unknown): unknown {
  try {
    return parse();
  } catch (refusal) {
    if (refusal instanceof Error) {
      return refusal.message;
    }
    throw refusal;
  }
}

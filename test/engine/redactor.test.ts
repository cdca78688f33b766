import { describe, expect, test } from "vitest";
import { Redactor } from "../../src/engine/secrets/redactor.ts";

const secret = "sk-live/äö+1= \"2\" & 'c'";

function redactorOf(...secrets: readonly string[]): Redactor {
  const redactor = new Redactor();
  redactor.add(secrets);
  return redactor;
}

const strictly = (text: string) =>
  Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");

/** How servers and libraries write a secret. */
const spellings: Readonly<Record<string, (text: string) => string>> = {
  "as it is": (text) => `before ${text} behind`,
  "in JSON text": (text) => JSON.stringify({ echo: text }),
  "percent-encoded": (text) => `/a?b=${encodeURIComponent(text)}&c=1`,
  "percent-encoded in lower case": (text) => encodeURIComponent(text).replace(/%../g, (code) => code.toLowerCase()),
  "percent-encoded in every byte": strictly,
  "percent-encoded in part": (text) => text.replaceAll("/", "%2F").replaceAll('"', "%22"),
  "as a field of a form": (text) => new URLSearchParams({ a: text }).toString(),
  "in Base64": (text) => Buffer.from(text).toString("base64"),
  "in Base64 of a longer text, at each place": (text) =>
    ["", "a", "ab", "abc"].map((start) => Buffer.from(`${start}${text}zz`).toString("base64")).join(" "),
  "in Base64 for URLs": (text) => Buffer.from(`?${text}`).toString("base64url"),
  "in percent-encoded Base64": (text) => encodeURIComponent(Buffer.from(text).toString("base64")),
};

describe("a secret is found by its value", () => {
  for (const [name, spell] of Object.entries(spellings)) {
    test(name, () => {
      const isPartly = name.includes("every byte") || name.includes("in part");
      for (const one of [secret, "0123456789abcdef", ...(isPartly ? [] : ["x".repeat(5_000)])]) {
        const spelled = spell(one);
        const shown = redactorOf(one).text(spelled);
        expect(shown).toContain("[REDACTED]");
        expect(shown).not.toContain(one);
        for (const part of spelled.match(/[A-Za-z0-9+/_%-]{14,}/g) ?? []) {
          expect(shown).not.toContain(part);
        }
      }
    });
  }

  test("in names, numbers and nested values, and other values stay the same", () => {
    const redactor = redactorOf("12345678", secret);
    const value = { a: [{ [secret]: 1 }, 12_345_678, 0.5, null, true], b: secret };
    expect(redactor.value(value)).toEqual({ a: [{ "[REDACTED]": 1 }, "[REDACTED]", 0.5, null, true], b: "[REDACTED]" });
    const other = { a: [{ b: "1234567" }, 1] };
    expect(redactor.value(other)).toBe(other);
    expect(redactor.value(JSON.parse(`{"__proto__": "${"12345678"}"}`))).toEqual(
      JSON.parse('{"__proto__": "[REDACTED]"}'),
    );
  });

  test("where a server trimmed it, and where one secret is a part of another", () => {
    expect(redactorOf("  spaced out  ").text("<spaced out>")).toBe("<[REDACTED]>");
    expect(redactorOf("password", "password-of-ada").text("password-of-ada password")).toBe("[REDACTED] [REDACTED]");
  });

  test("and a text of 1 MiB does not hold the thread", () => {
    const redactor = redactorOf(secret, "0123456789abcdef");
    for (const text of ["%".repeat(1 << 20), secret.slice(0, -1).repeat(1 << 15), "%2".repeat(1 << 19)]) {
      const start = performance.now();
      redactor.text(text);
      expect(performance.now() - start).toBeLessThan(1_000);
    }
  });
});

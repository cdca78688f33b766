import type { JsonText } from "../../domain/json/json-text.ts";
import { redacted } from "../../domain/json/redacted.ts";
import type { JsonLimits } from "../../domain/limits.ts";
import { checkOutput } from "../values/check-output.ts";

/** A shorter secret is refused when it is put: it would be found by chance in texts that do not hold it. */
export const secretCharsMin = 8;

/** Longer secrets are found as they are, in Base64, and as one encoder wrote them, but not half percent-encoded. */
const patternCharsMax = 2_000;

type Form =
  | { readonly literal: string; readonly pattern?: never }
  | { readonly pattern: RegExp; readonly literal?: never };

/**
 * Replaces secrets by their value in what a node gives, before anybody reads or keeps it. A secret is found as it is, escaped in
 * JSON text, percent-encoded in part or whole, as a field of a form, and in Base64 at any place of the encoded bytes.
 */
export class Redactor {
  readonly #secrets = new Set<string>();
  #forms: readonly Form[] = [];

  /** Secrets that are too short to be found are ignored. */
  add(secrets: Iterable<string>): void {
    for (const secret of secrets) {
      this.#add(secret);
      // Servers trim the values of headers.
      this.#add(secret.trim());
    }
  }

  #add(secret: string): void {
    if (secret.length < secretCharsMin || this.#secrets.has(secret)) {
      return;
    }
    this.#secrets.add(secret);
    // The longest first: one may be a part of another.
    const secrets = [...this.#secrets].sort((one, other) => other.length - one.length);
    this.#forms = secrets.flatMap(formsOf);
  }

  text(text: string): string {
    let shown = text;
    for (const { literal, pattern } of this.#forms) {
      shown = literal === undefined ? shown.replace(pattern, redacted) : shown.replaceAll(literal, redacted);
    }
    return shown;
  }

  /** The same for all texts, names and numbers in a JSON value, which is given back as it is where it holds none. */
  value<Value>(value: Value): Value;
  value(value: unknown): unknown {
    if (typeof value === "string") {
      return this.text(value);
    }
    if (typeof value === "number") {
      const text = String(value);
      return this.text(text) === text ? value : redacted;
    }
    if (Array.isArray(value)) {
      const items = value.map((item: unknown) => this.value(item));
      return items.every((item, index) => item === value[index]) ? value : items;
    }
    if (typeof value !== "object" || value === null) {
      return value;
    }
    const members = Object.entries(value);
    const shown = members.map(([name, member]) => [this.text(name), this.value(member)] as const);
    const isSame = shown.every(([name, member], index) => name === members[index]?.[0] && member === members[index][1]);
    // fromEntries makes own members of all names, `__proto__` included.
    return isSame ? value : Object.fromEntries(shown);
  }
}

/** A value without secrets. */
export function redactValue<Value>(value: Value, redactor: Redactor | undefined): Value {
  return redactor === undefined ? value : redactor.value(value);
}

/** A checked output without secrets, which is checked again where it had some. */
export function redactOutput(output: JsonText, redactor: Redactor | undefined, limits: JsonLimits): JsonText {
  if (redactor === undefined) {
    return output;
  }
  const value: unknown = JSON.parse(output);
  const shown = redactor.value(value);
  return shown === value ? output : checkOutput(shown, limits);
}

function formsOf(secret: string): readonly Form[] {
  const literals = [secret, JSON.stringify(secret).slice(1, -1), ...base64Of(secret)];
  const percent =
    secret.length <= patternCharsMax ? [] : [encodeURIComponent(secret.toWellFormed()), formEncoded(secret)];
  const all = new Set([...literals, ...literals.map((text) => encodeURIComponent(text.toWellFormed())), ...percent]);
  const forms: readonly Form[] = Array.from(all, (literal) => ({ literal }));
  return secret.length <= patternCharsMax ? [...forms, { pattern: percentPattern(secret) }] : forms;
}

function formEncoded(secret: string): string {
  return new URLSearchParams([["", secret]]).toString().slice(1);
}

/** Matches a secret of which any characters are percent-encoded. It has no repetition, so it cannot backtrack far. */
function percentPattern(secret: string): RegExp {
  const characters = Array.from(secret.toWellFormed(), (character) => {
    const bytes = Array.from(Buffer.from(character), (byte) => byte.toString(16).padStart(2, "0"));
    const hex = bytes
      .map((text) => `%${text.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)}`)
      .join("");
    return `(?:${character.replace(/[\\^$.*+?()[\]{}|/]/, "\\$&")}|${hex}${character === " " ? "|\\+" : ""})`;
  });
  return new RegExp(characters.join(""), "gu");
}

/** The characters of Base64 that depend on nothing but the secret, for each place in a group of three bytes. */
function base64Of(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  return [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64");
    const own = text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
    return [own, own.replaceAll("+", "-").replaceAll("/", "_")];
  });
}

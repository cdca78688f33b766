import type { JsonValue } from "@bufbuild/protobuf";
import { numberProblem, textProblem } from "../../domain/json/json-problems.ts";
import type { JsonLimits } from "../../domain/limits.ts";
import { lineAndColumnAt } from "../errors/line-and-column.ts";
import type { Field } from "./field.ts";
import type { Reference, Template } from "./reference.ts";
import { readBraces, templateEnd } from "./template-syntax.ts";
import { loneTemplate, type Piece, reportUnclosed, textTemplate } from "./text-template.ts";

/**
 * Compiles JSON text with templates, so that data cannot change its structure (no injection).
 *
 * The text is parsed as JSON once, here, with each template as a value or as a part of a string. At run time, values are put
 * into that finished structure: no data can close a string, add a member or end the document. The constants must keep to the
 * rules for payloads, so that they arrive exactly as the author wrote them.
 */
export function compileJson(text: string, limits: JsonLimits, field: Field): Template<JsonValue> {
  if (!field.isWithin(text, "textMax")) {
    return { references: [], render: () => null };
  }
  try {
    return new JsonTemplateParser(text, limits, field).parse();
  } catch (error) {
    if (!(error instanceof JsonProblem)) {
      throw error;
    }
    if (error.message !== "") {
      field.error("JSON_INVALID", error.message);
    }
    return { references: [], render: () => null };
  }
}

/** Stops the parser. Without a message, the problem has been reported already. */
class JsonProblem extends Error {}

class JsonTemplateParser {
  readonly #text: string;
  readonly #limits: JsonLimits;
  readonly #field: Field;
  #position = 0;
  #values = 0;
  /** The end of the string that was searched last. */
  #knownEnd = 0;

  constructor(text: string, limits: JsonLimits, field: Field) {
    this.#text = text;
    this.#limits = limits;
    this.#field = field;
  }

  parse(): Template<JsonValue> {
    const template = this.#value(1);
    if (this.#peek() !== "") {
      throw this.#unexpected("the end");
    }
    return template;
  }

  #value(depth: number): Template<JsonValue> {
    const { depthMax, valuesMax } = this.#limits;
    const next = this.#peek();
    if (depth > depthMax && (next === "{" || next === "[")) {
      throw new JsonProblem(`The JSON nests deeper than ${depthMax} containers. Make it flatter.`);
    }
    this.#values += 1;
    if (this.#values > valuesMax && this.#field.isNew) {
      throw new JsonProblem(`The JSON makes more than ${valuesMax} values. Split it.`);
    }
    if (next === "{") {
      const { text, opensTemplate } = readBraces(this.#text, this.#position);
      if (opensTemplate && text === "") {
        return loneTemplate(this.#template(this.#text.length));
      }
    }
    switch (next) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return stringTemplate(this.#string(), this.#field);
      default:
        return this.#literal();
    }
  }

  #object(depth: number): Template<JsonValue> {
    const members: (readonly [string, Template<JsonValue>])[] = [];
    const keys = new Set<string>();
    this.#list("}", () => {
      if (this.#peek() !== '"') {
        throw this.#unexpected("a member's name in double quotes");
      }
      const key = this.#key();
      if (keys.has(key)) {
        throw new JsonProblem(`The member "${key}" is present twice. Keep one of them.`);
      }
      keys.add(key);
      if (keys.size > this.#limits.keysMax && this.#field.isNew) {
        throw new JsonProblem(`The JSON has an object with more than ${this.#limits.keysMax} members. Split it.`);
      }
      this.#take(":");
      members.push([key, this.#value(depth + 1)]);
    });
    return this.#container(
      members.map(([, template]) => template),
      // fromEntries makes own members of all names, `__proto__` included.
      (values) => Object.fromEntries(members.map(([key], index) => [key, values[index] ?? null])),
    );
  }

  #array(depth: number): Template<JsonValue> {
    const items: Template<JsonValue>[] = [];
    this.#list("]", () => items.push(this.#value(depth + 1)));
    return this.#container(items, (values) => values);
  }

  /** A container. It is built for each rendering only if it has a template in it. All its texts share one budget. */
  #container(parts: readonly Template<JsonValue>[], build: (values: JsonValue[]) => JsonValue): Template<JsonValue> {
    const references = parts.flatMap((part) => part.references);
    if (references.length === 0) {
      const constant = build(parts.map((part) => part.render(emptyScope)));
      return { references, render: () => constant };
    }
    const field = this.#field;
    return {
      references,
      render: (scope, texts = field.texts()) => build(parts.map((part) => part.render(scope, texts))),
    };
  }

  /** Parses a container from its opening to its closing bracket. `readItem` parses each item. */
  #list(end: "}" | "]", readItem: () => void): void {
    this.#position += 1;
    if (this.#peek() === end) {
      this.#position += 1;
      return;
    }
    for (;;) {
      readItem();
      if (this.#peek() === end) {
        this.#position += 1;
        return;
      }
      this.#take(",");
    }
  }

  #key(): string {
    const pieces = this.#string();
    if (pieces.some((piece) => typeof piece !== "string")) {
      this.#field.error(
        "TEMPLATE_MISPLACED",
        "A template cannot be a member's name: data must not change the structure. Build such an object in a Transform.",
      );
    }
    return pieces.filter((piece) => typeof piece === "string").join("");
  }

  #string(): readonly Piece[] {
    const pieces: Piece[] = [];
    this.#position += 1;
    let start = this.#position;
    const keep = () => {
      if (this.#position > start) {
        pieces.push(this.#unescape(start, this.#position));
      }
    };
    for (;;) {
      const next = this.#text[this.#position];
      if (next === undefined) {
        throw new JsonProblem("A string has no end. Close it with a double quote.");
      }
      if (next === '"') {
        keep();
        this.#position += 1;
        return pieces;
      }
      if (this.#text.startsWith("{{", this.#position)) {
        keep();
        const braces = readBraces(this.#text, this.#position);
        if (braces.text !== "") {
          pieces.push(braces.text);
        }
        this.#position = braces.end;
        if (braces.opensTemplate) {
          pieces.push(this.#template(this.#stringEnd()));
        }
        start = this.#position;
      } else {
        this.#position += next === "\\" ? 2 : 1;
      }
    }
  }

  /** The end of the string at the position. It is searched once, however many templates the string has. */
  #stringEnd(): number {
    if (this.#position <= this.#knownEnd) {
      return this.#knownEnd;
    }
    let position = this.#position;
    while (position < this.#text.length && this.#text[position] !== '"') {
      position += this.#text[position] === "\\" ? 2 : 1;
    }
    this.#knownEnd = position;
    return position;
  }

  /** Parses the template at the position, which must close before `end`. */
  #template(end: number): Reference {
    const open = this.#position;
    const close = templateEnd(this.#text, open);
    if (close < 0 || close >= end) {
      reportUnclosed(this.#text.slice(open, end), this.#field);
      throw new JsonProblem();
    }
    this.#position = close + 2;
    const between = end < this.#text.length ? this.#unescape(open + 2, close) : this.#text.slice(open + 2, close);
    return this.#field.reference(between);
  }

  #unescape(start: number, end: number): string {
    const text = this.#unescaped(start, end);
    if (!this.#field.isNew) {
      return text;
    }
    const problem = textProblem(text);
    if (problem !== undefined) {
      throw new JsonProblem(`The JSON ${problem}; ${this.#lineAndColumn(start)}.`);
    }
    return text;
  }

  #unescaped(start: number, end: number): string {
    try {
      // A part of a JSON string in quotes is a JSON string too.
      return JSON.parse(`"${this.#text.slice(start, end)}"`) as string;
    } catch {
      throw new JsonProblem(
        `The string ${JSON.stringify(this.#text.slice(start, end))} has a character or an escape that JSON does not allow.`,
      );
    }
  }

  #literal(): Template<JsonValue> {
    const pattern = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
    pattern.lastIndex = this.#position;
    const [word] = pattern.exec(this.#text) ?? [];
    if (word === undefined) {
      throw this.#unexpected("a JSON value");
    }
    // The pattern matches JSON literals only.
    const constant = JSON.parse(word) as JsonValue;
    const isChecked = typeof constant === "number" && this.#field.isNew;
    const problem = isChecked ? numberProblem(constant, word) : undefined;
    if (problem !== undefined) {
      throw new JsonProblem(`The JSON ${problem}; ${this.#lineAndColumn(this.#position)}.`);
    }
    this.#position += word.length;
    return { references: [], render: () => constant };
  }

  #take(expected: string): void {
    if (this.#peek() !== expected) {
      throw this.#unexpected(`"${expected}"`);
    }
    this.#position += 1;
  }

  /** Skips blanks, and gives the next character, or an empty text at the end. */
  #peek(): string {
    while (/[ \t\r\n]/.test(this.#text[this.#position] ?? "")) {
      this.#position += 1;
    }
    return this.#text[this.#position] ?? "";
  }

  #unexpected(expected: string): JsonProblem {
    const found = this.#text[this.#position];
    return new JsonProblem(
      `This is not JSON: expected ${expected} but found ${found === undefined ? "the end" : JSON.stringify(found)} ` +
        `in ${this.#lineAndColumn(this.#position)}.`,
    );
  }

  #lineAndColumn(position: number): string {
    return lineAndColumnAt(this.#text, position);
  }
}

function stringTemplate(pieces: readonly Piece[], field: Field): Template<JsonValue> {
  const [only, more] = pieces;
  return only !== undefined && typeof only !== "string" && more === undefined
    ? loneTemplate(only)
    : textTemplate(pieces, field);
}

/** The scope of constants, which read nothing. */
const emptyScope = { read: () => undefined };

/**
 * A path template of `google.api.http` (google/api/http.proto):
 *
 *     Template  = "/" Segments [ ":" LITERAL ]
 *     Segments  = Segment { "/" Segment }
 *     Segment   = "*" | "**" | LITERAL | Variable
 *     Variable  = "{" FieldPath [ "=" Segments ] "}"
 *     FieldPath = IDENT { "." IDENT }
 *
 * `*` is one segment that is not empty. `**` is the rest of the path, so nothing may follow it. Variables do not nest.
 */
export type PathTemplate = {
  readonly source: string;
  readonly segments: readonly TemplateSegment[];
  readonly variables: readonly TemplateVariable[];
  /** The custom verb behind the last colon; empty where there is none. */
  readonly verb: string;
};

export type TemplateSegment = { readonly kind: "literal"; readonly text: string } | { readonly kind: "one" | "rest" };

/** A field and the segments that fill it, from `start` up to `end`, which is not included, or to the end of the path. */
export type TemplateVariable = {
  readonly fieldPath: readonly string[];
  readonly start: number;
  readonly end: number | "rest";
};

/** A template that breaks the grammar, which is a fault of the proto file. */
export class TemplateError extends Error {
  /** The position in the template, counted from 1. */
  readonly column: number;

  constructor(source: string, column: number, problem: string) {
    super(`path template ${JSON.stringify(source)}, column ${column}: ${problem}`);
    this.name = "TemplateError";
    this.column = column;
  }
}

/** Throws TemplateError. */
export function parsePathTemplate(source: string): PathTemplate {
  return new TemplateParser(source).template();
}

class TemplateParser {
  readonly #source: string;
  #position = 0;
  readonly #segments: TemplateSegment[] = [];
  readonly #variables: TemplateVariable[] = [];

  constructor(source: string) {
    this.#source = source;
  }

  template(): PathTemplate {
    this.#expect("/");
    this.#segmentList("template");
    const verb = this.#accept(":") ? this.#literal("a verb") : "";
    if (this.#position < this.#source.length) {
      this.#fail(`unexpected ${this.#shown()}`);
    }
    return { source: this.#source, segments: this.#segments, variables: this.#variables, verb };
  }

  #segmentList(place: "template" | "variable"): void {
    do {
      if (this.#segments.at(-1)?.kind === "rest") {
        this.#fail("nothing may follow **");
      }
      if (this.#peek() !== "{") {
        this.#segment();
      } else if (place === "template") {
        this.#variable();
      } else {
        this.#fail("a variable may not stand inside a variable");
      }
    } while (this.#accept("/"));
  }

  #segment(): void {
    if (this.#accept("**")) {
      this.#segments.push({ kind: "rest" });
    } else if (this.#accept("*")) {
      this.#segments.push({ kind: "one" });
    } else {
      this.#segments.push({ kind: "literal", text: this.#literal("a segment") });
    }
  }

  #variable(): void {
    this.#expect("{");
    const column = this.#position;
    const fieldPath = [this.#identifier()];
    while (this.#accept(".")) {
      fieldPath.push(this.#identifier());
    }
    const name = fieldPath.join(".");
    if (this.#variables.some((other) => other.fieldPath.join(".") === name)) {
      this.#fail(`the variable ${name} stands here a second time`, column);
    }
    const start = this.#segments.length;
    if (this.#accept("=")) {
      this.#segmentList("variable");
    } else {
      this.#segments.push({ kind: "one" });
    }
    this.#expect("}");
    const end = this.#segments.at(-1)?.kind === "rest" ? "rest" : this.#segments.length;
    this.#variables.push({ fieldPath, start, end });
  }

  #identifier(): string {
    return this.#take(/[A-Za-z_][A-Za-z0-9_]*/y, "a field name");
  }

  /** The characters of a segment by RFC 3986, without those that the grammar uses. */
  #literal(expected: string): string {
    const text = this.#take(/(?:[A-Za-z0-9\-._~!$&'()+,;=@]|%[0-9A-Fa-f]{2})+/y, expected);
    if (this.#peek() === "*") {
      this.#fail("a wildcard is a segment of its own");
    }
    return text;
  }

  #take(pattern: RegExp, expected: string): string {
    pattern.lastIndex = this.#position;
    const text = pattern.exec(this.#source)?.[0];
    if (text === undefined) {
      this.#fail(`expected ${expected}, found ${this.#shown()}`);
    }
    this.#position += text.length;
    return text;
  }

  #accept(token: string): boolean {
    const isThere = this.#source.startsWith(token, this.#position);
    if (isThere) {
      this.#position += token.length;
    }
    return isThere;
  }

  #expect(token: string): void {
    if (!this.#accept(token)) {
      this.#fail(`expected ${JSON.stringify(token)}, found ${this.#shown()}`);
    }
  }

  #peek(): string {
    return this.#source.charAt(this.#position);
  }

  #shown(): string {
    return this.#position < this.#source.length ? JSON.stringify(this.#peek()) : "the end";
  }

  #fail(problem: string, position = this.#position): never {
    throw new TemplateError(this.#source, position + 1, problem);
  }
}

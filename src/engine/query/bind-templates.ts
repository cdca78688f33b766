import type { Field } from "../templates/field.ts";
import type { Reference } from "../templates/reference.ts";
import { readBraces, templateEnd } from "../templates/template-syntax.ts";
import { reportUnclosed } from "../templates/text-template.ts";
import type { Mark } from "./syntax/error-position.ts";

/** A variable that takes the place of a template in a query. */
export type Variable = {
  readonly name: string;
  readonly reference: Reference;
  /** `text` inside of a string literal, `value` elsewhere. */
  readonly form: "value" | "text";
};

/**
 * Replaces each template in a JSONata query by a variable, as SQL binds parameters.
 *
 * Data never becomes part of a query's text, so it cannot inject code. A string literal with a template in it is split and joined
 * again, as in `("Hello " & $template0 & "!")`. Even a wrong guess about where a literal ends would only give a query that does
 * not compile, since the name of a variable is all that ever takes the place of a template.
 */
export function bindTemplates(
  query: string,
  field: Field,
): { readonly query: string; readonly variables: readonly Variable[]; readonly marks: readonly Mark[] } {
  if (!field.isWithin(query, "queryMax")) {
    return nullQuery;
  }
  const reader = new QueryReader(query, field);
  const read = reader.read();
  return reader.hasTooMany ? nullQuery : { query: read, variables: reader.variables, marks: reader.marks };
}

/** Stands for a query that is not compiled. */
const nullQuery = { query: "null", variables: [], marks: [] };

class QueryReader {
  /** Whether the definition has more regular expressions than it may. */
  hasTooMany = false;
  /** The source map, with an entry at and after each template, and after each run of braces. */
  readonly marks: Mark[] = [{ written: 0, source: 0 }];
  readonly #variables = new Map<string, Variable>();
  readonly #query: string;
  readonly #field: Field;
  readonly #prefix: string;
  #position = 0;
  #written = "";
  /** The last characters of the text so far. All blanks at its end count as one. */
  #tail = "";

  constructor(query: string, field: Field) {
    this.#query = query;
    this.#field = field;
    // The prefix is longer by one than any like it in the query, so that no variable of the query has a name of ours.
    const longest = query.match(/template_*/g)?.reduce((max, { length }) => Math.max(max, length), 0) ?? 0;
    this.#prefix = `template${"_".repeat(longest === 0 ? 0 : longest - "template".length + 1)}`;
  }

  get variables(): readonly Variable[] {
    return [...this.#variables.values()];
  }

  read(): string {
    while (this.#position < this.#query.length) {
      const next = this.#query[this.#position] ?? "";
      if (this.#query.startsWith("{{", this.#position)) {
        const braces = readBraces(this.#query, this.#position);
        this.#write(braces.text);
        this.#position = braces.end;
        if (braces.opensTemplate) {
          this.marks.push({ written: this.#written.length + 1, source: this.#position });
          this.#write(this.#template("value"));
        }
        this.marks.push({ written: this.#written.length, source: this.#position });
      } else if (next === '"' || next === "'") {
        this.#literal(next);
      } else if (this.#query.startsWith("/*", this.#position)) {
        const end = this.#query.indexOf("*/", this.#position + 2);
        this.#copyTo(end < 0 ? this.#query.length : end + 2);
      } else if (next === "`") {
        const end = this.#query.indexOf("`", this.#position + 1);
        this.#copyWhole(end < 0 ? this.#query.length : end + 1, "a name in backquotes");
      } else if (next === "/" && this.#isRegexNext()) {
        // To find the end of each may take a scan of the rest of the query.
        if (!this.#field.takesRegex()) {
          this.hasTooMany = true;
          return "";
        }
        this.#copyWhole(this.#regexEnd(), "a regular expression");
      } else {
        this.#copyTo(this.#position + 1);
      }
    }
    return this.#written;
  }

  #literal(quote: string): void {
    let literal = quote;
    let holdsTemplate = false;
    const marks: Mark[] = [{ written: 0, source: this.#position }];
    this.#position += 1;
    while (this.#position < this.#query.length) {
      const next = this.#query[this.#position] ?? "";
      if (this.#query.startsWith("{{", this.#position)) {
        const braces = readBraces(this.#query, this.#position);
        literal += braces.text;
        this.#position = braces.end;
        if (braces.opensTemplate) {
          marks.push({ written: literal.length + `${quote} & `.length, source: this.#position });
          literal += `${quote} &${this.#template("text")}& ${quote}`;
          holdsTemplate = true;
        }
        marks.push({ written: literal.length, source: this.#position });
        continue;
      }
      const length = next === "\\" ? 2 : 1;
      literal += this.#query.slice(this.#position, this.#position + length);
      this.#position += length;
      if (next === quote) {
        break;
      }
    }
    const start = this.#written.length + (holdsTemplate ? 1 : 0);
    if (marks.length > 1) {
      this.marks.push(...marks.map(({ written, source }) => ({ written: start + written, source })));
    }
    this.#write(holdsTemplate ? `(${literal})` : literal);
    if (marks.length > 1) {
      this.marks.push({ written: this.#written.length, source: this.#position });
    }
  }

  /** Reads the template at the position, and gives the variable that takes its place. */
  #template(form: Variable["form"]): string {
    const close = templateEnd(this.#query, this.#position);
    if (close < 0) {
      reportUnclosed(this.#query.slice(this.#position), this.#field);
      this.#position = this.#query.length;
      // The rest of the query still parses, so that one mistake is reported as one problem.
      return "null";
    }
    const reference = this.#field.reference(this.#query.slice(this.#position + 2, close));
    this.#position = close + 2;
    const key = `${form} ${reference.text}`;
    const variable = this.#variables.get(key) ?? { name: `${this.#prefix}${this.#variables.size}`, reference, form };
    this.#variables.set(key, variable);
    // The blanks separate the name from the characters beside it.
    return ` $${variable.name} `;
  }

  /** In JSONata a slash after an operand divides; elsewhere it starts a regular expression. */
  #isRegexNext(): boolean {
    const before = this.#tail.trimEnd();
    return (
      before === "" || /[([{,;:=<>&|+\-*/%^~?!.]$/.test(before) || /(?:^|[^\w$])(?:and|or|in)$/.test(before.slice(-5))
    );
  }

  /** The position after the closing slash, which is the first one that is neither escaped nor inside of brackets. */
  #regexEnd(): number {
    let depth = 0;
    for (let position = this.#position + 1; position < this.#query.length; position += 1) {
      const next = this.#query[position] ?? "";
      if (next === "\\") {
        position += 1;
      } else if ("([{".includes(next)) {
        depth += 1;
      } else if (")]}".includes(next)) {
        depth -= 1;
      } else if (next === "/" && depth === 0) {
        return position + 1;
      }
    }
    // There is no closing slash, so this one divides.
    return this.#position + 1;
  }

  #copyWhole(end: number, what: string): void {
    if (this.#query.slice(this.#position, end).includes("{{")) {
      this.#field.error("TEMPLATE_MISPLACED", `A template cannot stand inside ${what}. Use it as a value.`);
    }
    this.#copyTo(end);
  }

  #copyTo(end: number): void {
    this.#write(this.#query.slice(this.#position, end));
    this.#position = end;
  }

  #write(text: string): void {
    this.#written += text;
    const joined = this.#tail + text;
    const end = joined.trimEnd();
    this.#tail = end.slice(-tailMax) + (end.length < joined.length ? " " : "");
  }
}

/** As long as the longest keyword before a regular expression, and one character more. */
const tailMax = 5;

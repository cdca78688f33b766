import type { Field } from "./field.ts";
import type { Reference } from "./reference.ts";
import { reportUnclosed } from "./text.ts";

/** A variable of the query that stands for a template. */
export type Variable = {
  readonly name: string;
  readonly reference: Reference;
  /** `text` inside a string literal, where the template is a part of a text; `value` elsewhere. */
  readonly form: "value" | "text";
};

/**
 * Replaces each template in a JSONata query by a variable.
 *
 * Nothing that a template reads is ever part of the query's text. Inside a string literal the literal is cut and joined
 * again, as `("Hello " & $template0 & "!")`. A wrong guess here about where a literal ends could only make a query
 * that does not compile: what takes a template's place is always a variable's name.
 */
export function bindTemplates(
  query: string,
  field: Field,
): { readonly query: string; readonly variables: readonly Variable[] } {
  const reader = new QueryReader(query, field);
  return { query: reader.read(), variables: reader.variables };
}

class QueryReader {
  readonly variables: Variable[] = [];
  readonly #query: string;
  readonly #field: Field;
  readonly #prefix: string;
  #position = 0;
  #written = "";

  constructor(query: string, field: Field) {
    this.#query = query;
    this.#field = field;
    let prefix = "template";
    while (query.includes(prefix)) {
      prefix += "_";
    }
    this.#prefix = prefix;
  }

  read(): string {
    while (this.#position < this.#query.length) {
      const next = this.#query[this.#position] ?? "";
      if (this.#query.startsWith("{{", this.#position)) {
        this.#written += this.#template("value");
      } else if (next === '"' || next === "'") {
        this.#literal(next);
      } else if (this.#query.startsWith("/*", this.#position)) {
        const end = this.#query.indexOf("*/", this.#position + 2);
        this.#copyTo(end < 0 ? this.#query.length : end + 2);
      } else if (next === "`") {
        const end = this.#query.indexOf("`", this.#position + 1);
        this.#copyWhole(end < 0 ? this.#query.length : end + 1, "a name in backquotes");
      } else if (next === "/" && this.#isRegexNext()) {
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
    this.#position += 1;
    while (this.#position < this.#query.length) {
      const next = this.#query[this.#position] ?? "";
      if (this.#query.startsWith("{{", this.#position)) {
        literal += `${quote} &${this.#template("text")}& ${quote}`;
        holdsTemplate = true;
        continue;
      }
      const length = next === "\\" ? 2 : 1;
      literal += this.#query.slice(this.#position, this.#position + length);
      this.#position += length;
      if (next === quote) {
        break;
      }
    }
    this.#written += holdsTemplate ? `(${literal})` : literal;
  }

  /** Reads the template at the position and gives the variable that takes its place. */
  #template(form: Variable["form"]): string {
    const close = this.#query.indexOf("}}", this.#position + 2);
    if (close < 0) {
      reportUnclosed(this.#query.slice(this.#position), this.#field);
      this.#position = this.#query.length;
      // Something that parses, so that one mistake is one problem.
      return "null";
    }
    const reference = this.#field.reference(this.#query.slice(this.#position + 2, close));
    this.#position = close + 2;
    const known = this.variables.find((one) => one.reference.text === reference.text && one.form === form);
    const variable = known ?? { name: `${this.#prefix}${this.variables.length}`, reference, form };
    if (known === undefined) {
      this.variables.push(variable);
    }
    // The blanks keep the name apart from what stands beside it.
    return ` $${variable.name} `;
  }

  /** In JSONata a slash divides behind an operand and begins a regular expression elsewhere. */
  #isRegexNext(): boolean {
    const before = this.#written.trimEnd();
    return (
      before === "" || /[([{,;:=<>&|+\-*/%^~?!.]$/.test(before) || /(?:^|[^\w$])(?:and|or|in)$/.test(before.slice(-5))
    );
  }

  /** Behind the closing slash: the first one that is neither escaped nor in brackets. */
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
    // No end: the slash divides after all.
    return this.#position + 1;
  }

  #copyWhole(end: number, what: string): void {
    if (this.#query.slice(this.#position, end).includes("{{")) {
      this.#field.error("TEMPLATE_MISPLACED", `A template cannot stand inside ${what}. Use it as a value.`);
    }
    this.#copyTo(end);
  }

  #copyTo(end: number): void {
    this.#written += this.#query.slice(this.#position, end);
    this.#position = end;
  }
}

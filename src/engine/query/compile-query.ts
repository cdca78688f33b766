import type { JsonValue } from "@bufbuild/protobuf";
import type { JsonText } from "../../domain/json-text.ts";
import type { Limits } from "../../domain/limits.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { Attempt } from "../nodes/leaf.ts";
import type { Data } from "../pool/data-texts.ts";
import type { Field } from "../templates/field.ts";
import { CheckedOutput } from "../values/check-output.ts";
import { DataSizes, inlineCharsMax } from "../values/data-size.ts";
import { bindTemplates, type Variable } from "./bind-templates.ts";
import { bindValues } from "./evaluate/bind-values.ts";
import { evaluateQuery, type ParsedQuery, parseQuery, queryMessage } from "./evaluate/evaluate-query.ts";
import { InlineBudget } from "./evaluate/step-watch.ts";
import { runInPool } from "./pooled-query.ts";
import { isCheap, mayBeCheap } from "./syntax/cheap-query.ts";
import { lineAndColumn, placeOfError, type QuerySource } from "./syntax/error-position.ts";
import { resultSchemaOf } from "./syntax/result-schema.ts";
import { roundedLiteral } from "./syntax/rounded-literal.ts";
import { unknownName } from "./syntax/unknown-names.ts";

/** A compiled JSONata query. It keeps nothing of a run, so many may run it at once. */
export type Query = {
  /** Fails with NodeFailure; rejects with the signal's reason when that aborts first. */
  run(input: Data, attempt: Attempt): Promise<unknown>;
  /** What is known of its result, as a JSON Schema. Absent where it was not parsed when it was compiled. */
  readonly result?: JsonValue;
};

/** Whether queries are parsed when they are compiled, so that all that is wrong with them is told, or when they first run. */
export type QueryParsing = "at once" | "when run";

/** Compiles queries for one graph. */
export class QueryCompiler {
  readonly #limits: Limits;
  readonly #parsing: QueryParsing;
  readonly #sizes = new DataSizes();

  constructor(limits: Limits, parsing: QueryParsing) {
    this.#limits = limits;
    this.#parsing = parsing;
  }

  compile(text: string, field: Field): Query {
    const { query, variables, marks } = bindTemplates(text, field);
    const bound = { text: query, variables, source: { text, marks } };
    const found = this.#parsing === "at once" ? this.#check(bound) : undefined;
    if (found?.problem !== undefined) {
      field.error("EXPRESSION_INVALID", `This is not a JSONata query that can run: ${found.problem}.`);
    }
    return new CompiledQuery(bound, { limits: this.#limits, sizes: this.#sizes }, found?.result);
  }

  #check(query: BoundQuery): { readonly problem: string | undefined; readonly result?: JsonValue } {
    try {
      const parsed = parseQuery(query.text, this.#limits);
      const names = query.variables.map(({ name }) => name);
      const ast = parsed.ast();
      const found = unknownName(ast, names) ?? roundedLiteral(ast, query.text);
      const problem = found && told(found.message, placeOfError(found, query.text), query);
      return { problem, result: resultSchemaOf(ast) };
    } catch (error) {
      return { problem: told(queryMessage(error, this.#limits), placeOfError(error, query.text), query) };
    }
  }
}

/** The text of a query, with a variable in the place of each template. */
export type BoundQuery = {
  readonly text: string;
  readonly variables: readonly Variable[];
  readonly source: QuerySource;
};

/** What the queries of a graph share. */
type QueryTools = { readonly limits: Limits; readonly sizes: DataSizes };

class CompiledQuery implements Query {
  readonly result?: JsonValue;
  readonly #query: BoundQuery;
  readonly #limits: Limits;
  readonly #sizes: DataSizes;
  /** What runs in line; null where it is no cheap query, undefined where nobody has looked. */
  #cheap: ParsedQuery | null | undefined;

  constructor(query: BoundQuery, { limits, sizes }: QueryTools, result: JsonValue | undefined) {
    if (result !== undefined) this.result = result;
    this.#query = query;
    this.#limits = limits;
    this.#sizes = sizes;
  }

  async run(input: Data, attempt: Attempt): Promise<unknown> {
    const bound = this.#query.variables.map(({ reference }) => ({
      value: attempt.scope.readForQuery(reference),
      reference,
    }));
    this.#cheap = this.#cheap === undefined ? this.#parseCheap() : this.#cheap;
    const dataLength = this.#lengthOf([input, ...bound]);
    if (this.#cheap !== null && dataLength <= inlineCharsMax) {
      const watch = new InlineBudget(dataLength);
      const evaluated = await this.#runInLine(this.#cheap, { input, bound, attempt }, watch);
      if (evaluated !== undefined) return evaluated.result;
    }
    const end = await runInPool(this.#query, { input, bound, attempt, sizes: this.#sizes, limits: this.#limits });
    // The text was checked where it was computed.
    if (end.kind === "output") return new CheckedOutput(end.text as JsonText);
    throw end.kind === "query_error" ? this.#failure(end.message, end.place) : end.failure;
  }

  #parseCheap(): ParsedQuery | null {
    const { text, variables } = this.#query;
    if (!mayBeCheap(text)) return null;
    try {
      const parsed = parseQuery(text, this.#limits);
      const names = variables.map(({ name }) => name);
      return isCheap(parsed.ast(), names) ? parsed : null;
    } catch {
      // What is wrong with it is told where it runs.
      return null;
    }
  }

  #lengthOf(data: readonly Data[]): number {
    let length = 0;
    for (const { value } of data) length += this.#sizes.of(value);
    return length;
  }

  /** Undefined where the budget was spent: what it did until then is forgotten. */
  async #runInLine(
    query: ParsedQuery,
    { input, bound, attempt }: QueryRun,
    watch: InlineBudget,
  ): Promise<{ readonly result: unknown } | undefined> {
    const values = this.#query.variables.map(({ name, form }, index) => ({ name, form, value: bound[index]?.value }));
    const bindings = bindValues(values, this.#limits.output.bytesMax);
    try {
      return { result: await evaluateQuery(query, { input: input.value, bindings, visit: attempt, watch }) };
    } catch (error) {
      if (watch.isSpent) return undefined;
      throw error instanceof NodeFailure
        ? error
        : this.#failure(queryMessage(error, this.#limits), placeOfError(error, this.#query.text));
    }
  }

  #failure(message: string, place: number | undefined): NodeFailure {
    return new NodeFailure("EXPRESSION_ERROR", `The query failed: ${told(message, place, this.#query)}`);
  }
}

/** One run of a query: what it reads, the values of its variables in their order, and the attempt that it is part of. */
export type QueryRun = {
  readonly input: Data;
  readonly bound: readonly Data[];
  readonly attempt: Attempt;
};

const messageMax = 900;

/** A message in the author's words, with the place in what they wrote. */
function told(message: string, place: number | undefined, { variables, source }: BoundQuery): string {
  const words = withTemplates(message, variables).slice(0, messageMax);
  return place === undefined ? words : `${words} (${lineAndColumn(source, place)})`;
}

/** Says what the author wrote in place of the variables that stand for it, in one pass over a message of bounded length. */
function withTemplates(message: string, variables: readonly Variable[]): string {
  const references = new Map(variables.map(({ name, reference }) => [name, reference.text]));
  return message.slice(0, messageMax).replaceAll(/\$?(template_*\d+)/g, (found, name: string) => {
    const text = references.get(name);
    return text === undefined ? found : `{{${text}}}`;
  });
}

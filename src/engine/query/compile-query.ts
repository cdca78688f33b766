// JSONata queries. A cheap query runs at once, on the thread that also renews the lease, within a budget of steps; any other
// runs in a child process, where a deadline and a memory limit end it. Queries are pure, so one that exceeds its budget on
// the thread starts again in a child and gives the same result. Data never becomes part of a query's text: each template
// is bound as a variable.

import type { JsonValue } from "@bufbuild/protobuf";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { Limits } from "../../domain/limits.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { Data } from "../pool/data-texts.ts";
import type { Field } from "../templates/field.ts";
import { CheckedOutput } from "../values/check-output.ts";
import { DataSizes, inlineCharsMax } from "../values/data-size.ts";
import { bindTemplates, type Variable } from "./bind-templates.ts";
import { bindValues } from "./evaluate/bind-values.ts";
import { evaluateQuery, type ParsedQuery, parseQuery, queryMessage } from "./evaluate/evaluate-query.ts";
import { notPlain, PlainQuery } from "./evaluate/plain-query.ts";
import { InlineBudget } from "./evaluate/step-watch.ts";
import { runInPool } from "./pooled-query.ts";
import type { BoundQuery, QueryAttempt, QueryRun } from "./query-run.ts";
import { isCheap, mayBeCheap } from "./syntax/cheap-query.ts";
import { errorOffset, lineAndColumn } from "./syntax/error-position.ts";
import { resultSchemaOf } from "./syntax/result-schema.ts";
import { roundedLiteral } from "./syntax/rounded-literal.ts";
import { unknownName } from "./syntax/unknown-names.ts";

/** A compiled JSONata query. It keeps nothing of a run, so many runs may share it. */
export type Query = {
  /**
   * Gives the result, or a promise of it. Fails with NodeFailure; rejects with the signal's reason when that aborts first.
   */
  run(input: Data, attempt: QueryAttempt): unknown;
  /** A JSON Schema of its result. Absent where the query was not parsed when it was compiled. */
  readonly result?: JsonValue;
};

/** When queries are parsed: on compiling, so that their problems are reported, or on the first run, so that loading is fast. */
export type QueryParsing = "on compile" | "on first run";

/** Compiles the queries of one graph. */
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
    const found = this.#parsing === "on compile" ? this.#check(bound) : undefined;
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
      const problem = found && authorMessage(found.message, errorOffset(found, query.text), query);
      return { problem, result: resultSchemaOf(ast) };
    } catch (error) {
      return { problem: authorMessage(queryMessage(error, this.#limits), errorOffset(error, query.text), query) };
    }
  }
}

/** Parts that the queries of a graph share. */
type QueryTools = { readonly limits: Limits; readonly sizes: DataSizes };

type CheapQuery = { readonly parsed: ParsedQuery; readonly plain: PlainQuery | undefined };

class CompiledQuery implements Query {
  readonly result?: JsonValue;
  readonly #query: BoundQuery;
  readonly #limits: Limits;
  readonly #sizes: DataSizes;
  /** The parsed query if it is cheap; null if it is not, undefined before the first run. */
  #cheap: CheapQuery | null | undefined;

  constructor(query: BoundQuery, { limits, sizes }: QueryTools, result: JsonValue | undefined) {
    if (result !== undefined) {
      this.result = result;
    }
    this.#query = query;
    this.#limits = limits;
    this.#sizes = sizes;
  }

  run(input: Data, attempt: QueryAttempt): unknown {
    const bound = this.#query.variables.map(({ reference }) => ({
      value: attempt.scope.readForQuery(reference),
      reference,
    }));
    this.#cheap = this.#cheap === undefined ? this.#parseCheap() : this.#cheap;
    const query = { input, bound, attempt };
    if (this.#cheap === null) {
      return this.#runInPool(query);
    }
    const dataLength = this.#lengthOf(query);
    if (dataLength > inlineCharsMax) {
      return this.#runInPool(query);
    }
    const { parsed, plain } = this.#cheap;
    // A list as the input is many contexts for an object constructor.
    const result = plain === undefined || Array.isArray(input.value) ? notPlain : plain.evaluate(bound);
    return result === notPlain ? this.#runInline(parsed, query, dataLength) : result;
  }

  #parseCheap(): CheapQuery | null {
    const { text, variables } = this.#query;
    if (!mayBeCheap(text)) {
      return null;
    }
    try {
      const parsed = parseQuery(text, this.#limits);
      const names = variables.map(({ name }) => name);
      const ast = parsed.ast();
      return isCheap(ast, names) ? { parsed, plain: PlainQuery.compile(ast, variables) } : null;
    } catch {
      // The child that runs it reports the error.
      return null;
    }
  }

  #lengthOf({ input, bound }: QueryRun): number {
    let length = this.#sizes.of(input.value);
    for (const { value } of bound) {
      length += this.#sizes.of(value);
    }
    return length;
  }

  /** Evaluates on the thread. Where the budget is used up, the query starts again in a child. */
  async #runInline(query: ParsedQuery, run: QueryRun, dataLength: number): Promise<unknown> {
    const values = this.#query.variables.map(({ name, form }, index) => ({
      name,
      form,
      value: run.bound[index]?.value,
    }));
    const bindings = bindValues(values, this.#limits.output.bytesMax);
    const watch = new InlineBudget(dataLength);
    try {
      return await evaluateQuery(query, { input: run.input.value, bindings, context: run.attempt, watch });
    } catch (error) {
      if (watch.isSpent) {
        return this.#runInPool(run);
      }
      throw error instanceof NodeFailure
        ? error
        : this.#failure(queryMessage(error, this.#limits), errorOffset(error, this.#query.text));
    }
  }

  async #runInPool(run: QueryRun): Promise<CheckedOutput> {
    const end = await runInPool(this.#query, { ...run, sizes: this.#sizes, limits: this.#limits });
    if (end.kind === "output") {
      // The child has checked the text of its output.
      return new CheckedOutput(end.text as JsonText);
    }
    throw end.kind === "query_error" ? this.#failure(end.message, end.offset) : end.failure;
  }

  #failure(message: string, offset: number | undefined): NodeFailure {
    return new NodeFailure("EXPRESSION_ERROR", `The query failed: ${authorMessage(message, offset, this.#query)}`);
  }
}

const messageMax = 900;

/** A message about the text that the author wrote, with a line and a column in it. */
function authorMessage(message: string, offset: number | undefined, { variables, source }: BoundQuery): string {
  const words = withTemplates(message, variables).slice(0, messageMax);
  return offset === undefined ? words : `${words} (${lineAndColumn(source, offset)})`;
}

/** Replaces the names of variables by the templates that they stand for, in one pass over a message of bounded length. */
function withTemplates(message: string, variables: readonly Variable[]): string {
  const references = new Map(variables.map(({ name, reference }) => [name, reference.text]));
  return message.slice(0, messageMax).replaceAll(/\$?(template_*\d+)/g, (found, name: string) => {
    const text = references.get(name);
    return text === undefined ? found : `{{${text}}}`;
  });
}

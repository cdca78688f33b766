import { type CompiledQuery, type Kysely, type RawBuilder, sql } from "kysely";
import { type ColumnTypes, type InputRow, unnest } from "./input-rows.ts";
import type { Tables } from "./tables.ts";

type Rows = readonly InputRow<ColumnTypes>[];

/** Stands for a parameter while the text of a statement is made. */
class Placeholder<Input> {
  /** The value of the parameter for one execution, for which all lists of rows have been made. */
  readonly read: (input: Input, lists: readonly Rows[]) => unknown;

  constructor(read: Placeholder<Input>["read"]) {
    this.read = read;
  }
}

/** The values of one execution of a statement. */
export class StatementInput<Input> {
  readonly #lists: ((input: Input) => Rows)[] = [];

  /** A list of rows as an item of the `from` list: see `inputRows`. */
  rows<Types extends ColumnTypes>(
    name: string,
    types: Types,
    rowsOf: (input: Input) => readonly InputRow<Types>[],
  ): RawBuilder<unknown> {
    const list = this.#lists.push(rowsOf) - 1;
    return unnest(name, types, (column) => {
      return new Placeholder<Input>((_, lists) => lists[list]?.map((row) => row[column]));
    });
  }

  value<Value>(read: (input: Input) => unknown): RawBuilder<Value> {
    return sql<Value>`${new Placeholder(read)}`;
  }

  /** The parameters of one execution, in the order of their placeholders. */
  parametersOf(placeholders: readonly unknown[], input: Input): readonly unknown[] {
    const lists = this.#lists.map((rowsOf) => rowsOf(input));
    return placeholders.map((one) => (one instanceof Placeholder ? one.read(input, lists) : one));
  }
}

/**
 * A statement whose text Kysely makes once, at the first execution. That takes longer than sending it, and a batched
 * statement has the same text each time.
 */
export class CompiledStatement<Input, Row> {
  readonly #build: (input: StatementInput<Input>) => RawBuilder<Row>;
  readonly #input = new StatementInput<Input>();
  #compiled: CompiledQuery<Row> | undefined;

  constructor(build: (input: StatementInput<Input>) => RawBuilder<Row>) {
    this.#build = build;
  }

  async execute(db: Kysely<Tables>, input: Input): Promise<readonly Row[]> {
    this.#compiled ??= this.#build(this.#input).compile(db);
    const parameters = this.#input.parametersOf(this.#compiled.parameters, input);
    return (await db.executeQuery<Row>({ ...this.#compiled, parameters })).rows;
  }
}

import { type RawBuilder, sql } from "kysely";

/** The type of each column, in the order in which the columns are given. */
export type ColumnTypes = Readonly<Record<string, "text" | "int" | "boolean">>;

export type InputRow<Types extends ColumnTypes> = {
  readonly [Column in keyof Types]:
    | null
    | (Types[Column] extends "text" ? string : Types[Column] extends "int" ? number : boolean);
};

/**
 * The input of a batched statement, as an item of its `from` list: `unnest` of one array for each column, so that the
 * text of the statement, and its prepared plan, are the same however many rows there are. `row` counts them from 1.
 */
export function inputRows<Types extends ColumnTypes>(
  name: string,
  types: Types,
  rows: readonly InputRow<Types>[],
): RawBuilder<unknown> {
  return unnest(name, types, (column) => rows.map((row) => row[column]));
}

/** As `inputRows`, from what is read for each column. */
export function unnest(name: string, types: ColumnTypes, read: (column: string) => unknown): RawBuilder<unknown> {
  const columns = Object.entries(types);
  const arrays = columns.map(([column, type]) => sql`${read(column)}::${sql.raw(type)}[]`);
  const names = [...columns.map(([column]) => sql.ref(column)), sql.ref("row")];
  return sql`unnest(${sql.join(arrays)}) with ordinality as ${sql.ref(name)}(${sql.join(names)})`;
}

/** The names of the columns, for the column list of an insert or a select. */
export function columnList(types: ColumnTypes): RawBuilder<unknown> {
  return sql.join(Object.keys(types).map((column) => sql.ref(column)));
}

/** Sorts the rows of an answer by the input that each belongs to, in the order of the inputs. */
export function byInputRow<Row extends { readonly row: number }>(
  input: readonly unknown[],
  rows: readonly Row[],
): readonly (readonly Row[])[] {
  const answers = Map.groupBy(rows, ({ row }) => row);
  return input.map((_, index) => answers.get(index + 1) ?? []);
}

/**
 * The smallest and the largest of some ids. A statement that joins by ids names both as bounds, by which Postgres prunes the
 * partitions before it begins; by the join alone it would open each of them.
 */
export function boundsOf(ids: Iterable<string>): { readonly first: string; readonly last: string } {
  const sorted = [...ids].toSorted((one, other) => (one < other ? -1 : 1));
  const [first = "", last = ""] = [sorted.at(0), sorted.at(-1)];
  return { first, last };
}

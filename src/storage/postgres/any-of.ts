import { type RawBuilder, sql } from "kysely";

/** Goes behind an equals sign: the column is one of these numbers. An empty list matches no row. */
export function anyOf(numbers: readonly number[]): RawBuilder<number> {
  return sql<number>`any(${numbers}::int[])`;
}

import { type RawBuilder, sql } from "kysely";

/** One of some numbers, behind an equals sign; of none nothing is one. */
export function anyOf(numbers: readonly number[]): RawBuilder<number> {
  return sql<number>`any(${numbers}::int[])`;
}

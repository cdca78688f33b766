/** `hours`: a number of milliseconds that is set as a number of hours or days, such as `36h` or `30d`. */
export type LimitUnit = "count" | "bytes" | "characters" | "ms" | "MiB" | "hours";

/** A row of the table of limits. Without `env` it is a constant. */
export type Limit = {
  /** The environment variable that sets the limit. Several rows may have the same one, with equal bounds. */
  readonly env?: string;
  readonly min?: number;
  readonly max?: number;
  readonly default: number;
  /** The default in words where it depends on the machine. */
  readonly defaultText?: string;
  readonly unit: LimitUnit;
  /**
   * Set for a limit on what one process holds, which several workers divide among them: what each of them gets at least, if
   * the whole limit is not less.
   */
  readonly part?: number;
  /** The meaning, as a line of docs/settings.md. */
  readonly text: string;
};

export type LimitTable = { readonly [name: string]: Limit | LimitTable };

/** The numbers of a table of limits, by the names and the nesting of its rows. */
export type LimitValues<Table> = {
  readonly [Name in keyof Table]: Table[Name] extends Limit ? number : LimitValues<Table[Name]>;
};

export function isLimit(row: Limit | LimitTable): row is Limit {
  return typeof row["default"] === "number";
}

/** Replaces each row by the number that `numberOf` gives. */
export function mapLimits<Table extends LimitTable>(
  table: Table,
  numberOf: (limit: Limit) => number,
): LimitValues<Table> {
  const values = Object.entries(table).map(([name, row]) => [
    name,
    isLimit(row) ? numberOf(row) : mapLimits(row, numberOf),
  ]);
  // Object.fromEntries loses the names.
  return Object.fromEntries(values) as LimitValues<Table>;
}

/** The part of a limit that each of several workers gets. */
export function partOf({ part }: Limit, value: number, workers: number): number {
  return part === undefined ? value : Math.min(value, Math.max(part, Math.ceil(value / workers)));
}

/** All rows of a table. */
export function rowsOf(table: LimitTable): readonly Limit[] {
  return Object.values(table).flatMap((row) => (isLimit(row) ? [row] : rowsOf(row)));
}

export const mebibyte = 1024 ** 2;
export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;

import { z } from "zod";
import {
  dayMs,
  hourMs,
  type Limit,
  type LimitTable,
  type LimitValues,
  mapLimits,
  partOf,
  rowsOf,
} from "../domain/limits/limit.ts";

/** The values of environment variables, as the schema has parsed them. */
type Values = Readonly<Record<string, unknown>>;

/** How the variables of a table are parsed. */
export function limitVariables(table: LimitTable): Readonly<Record<string, z.ZodOptional<z.ZodType<number, string>>>> {
  return Object.fromEntries(
    rowsOf(table).flatMap((limit) => (limit.env === undefined ? [] : [[limit.env, parserOf(limit).optional()]])),
  );
}

/** The limits of one process by a table: the value of each variable, or else the default, divided among the workers. */
export function limitsFrom<Table extends LimitTable>(
  table: Table,
  values: Values,
  workers: number,
): LimitValues<Table> {
  return mapLimits(table, (limit) => {
    const value = limit.env === undefined ? undefined : values[limit.env];
    return partOf(limit, typeof value === "number" ? value : limit.default, workers);
  });
}

function parserOf({ unit, min = 0, max = Number.MAX_SAFE_INTEGER }: Limit): z.ZodType<number, string> {
  return unit === "hours" ? duration(min, max) : whole(min, max);
}

/** A whole number in decimal digits, and in none of the other forms that `Number` accepts. */
export function whole(min: number, max: number): z.ZodType<number, string> {
  return z
    .string()
    .regex(/^\d{1,15}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));
}

/** A number of hours or days, as 36h or 30d, in milliseconds. */
function duration(minMs: number, maxMs: number): z.ZodType<number, string> {
  const [min, max] = [minMs / hourMs, maxMs / hourMs];
  return z
    .string()
    .regex(/^\d{1,6}[hd]$/, "must be a number of hours or days, as 36h or 30d")
    .transform((text) => Number.parseInt(text, 10) * (text.endsWith("d") ? dayMs : hourMs))
    .pipe(z.number().min(minMs, `must be at least ${min}h`).max(maxMs, `must be at most ${max}h`));
}

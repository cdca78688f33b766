import { integerProblem } from "../../domain/json-refusal.ts";
import { nodesOf, type UnknownName } from "./query-names.ts";

/**
 * Finds an integer of a query that a double cannot hold: JSONata rounds it without a word, and an id of 19 digits becomes
 * another one.
 */
export function roundedLiteral(ast: object, query: string): UnknownName | undefined {
  for (const { type, position } of nodesOf(ast)) {
    if (type !== "number" || typeof position !== "number") continue;
    const token = integerBefore(query, position);
    if (token === undefined || Number.isSafeInteger(Number(token))) continue;
    return { message: `The query ${integerProblem(token)}`, token, position };
  }
  return undefined;
}

/** The integer that ends at a position; JSONata gives no other place of a number. Digits behind a point or an exponent are none. */
function integerBefore(query: string, end: number): string | undefined {
  let start = end;
  while (/\d/.test(query[start - 1] ?? "")) start -= 1;
  const isInteger = !/(?:\.|\d[eE][+-]?)$/.test(query.slice(Math.max(0, start - 3), start));
  return isInteger ? query.slice(start, end) : undefined;
}

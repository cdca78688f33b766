import { integerProblem } from "../../../domain/json/json-problems.ts";
import { nodesOf, type UnknownName } from "./unknown-names.ts";

/**
 * Finds an integer of a query that a double cannot hold: JSONata rounds it without a word, and an id of 19 digits becomes
 * another one.
 */
export function roundedLiteral(ast: object, query: string): UnknownName | undefined {
  for (const { type, position } of nodesOf(ast)) {
    if (type !== "number" || typeof position !== "number") continue;
    const token = numberBefore(query, position);
    if (token === undefined || Number.isSafeInteger(Math.trunc(Number(token)))) continue;
    const spelling = token.length > 40 ? `${token.slice(0, 40)}…` : token;
    return { message: `The query ${integerProblem(spelling)}`, token, position };
  }
  return undefined;
}

/** The number that ends at a position, of which JSONata gives no other place; one with an exponent is none. */
function numberBefore(query: string, end: number): string | undefined {
  let start = digitsBefore(query, end);
  if (/\d[eE][+-]?$/.test(query.slice(Math.max(0, start - 3), start))) return undefined;
  // Two points are a range.
  if (/\d\.$/.test(query.slice(Math.max(0, start - 2), start))) start = digitsBefore(query, start - 1);
  return query.slice(start, end);
}

/** Where the digits begin that end at a position. */
function digitsBefore(query: string, end: number): number {
  let start = end;
  while (/\d/.test(query[start - 1] ?? "")) start -= 1;
  return start;
}

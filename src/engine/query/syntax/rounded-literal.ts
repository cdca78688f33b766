import { integerProblem } from "../../../domain/json/json-problems.ts";
import { nodesOf, type UnknownName } from "./unknown-names.ts";

/** Finds an integer literal beyond 2^53. JSONata would round it silently, and an id of 19 digits would become another id. */
export function roundedLiteral(ast: object, query: string): UnknownName | undefined {
  for (const { type, position } of nodesOf(ast)) {
    if (type !== "number" || typeof position !== "number") {
      continue;
    }
    const token = numberBefore(query, position);
    if (token === undefined || Number.isSafeInteger(Math.trunc(Number(token)))) {
      continue;
    }
    const spelling = token.length > 40 ? `${token.slice(0, 40)}…` : token;
    return { message: `The query ${integerProblem(spelling)}`, token, position };
  }
  return undefined;
}

/** The number that ends at a position, which is all that JSONata reports of it. Undefined for one with an exponent. */
function numberBefore(query: string, end: number): string | undefined {
  let start = digitsBefore(query, end);
  if (/\d[eE][+-]?$/.test(query.slice(Math.max(0, start - 3), start))) {
    return undefined;
  }
  // One point belongs to the number; two points are a range.
  if (/\d\.$/.test(query.slice(Math.max(0, start - 2), start))) {
    start = digitsBefore(query, start - 1);
  }
  return query.slice(start, end);
}

/** The position at which the digits begin that end at `end`. */
function digitsBefore(query: string, end: number): number {
  let start = end;
  while (/\d/.test(query[start - 1] ?? "")) {
    start -= 1;
  }
  return start;
}

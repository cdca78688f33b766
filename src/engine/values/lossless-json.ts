import type { JsonValue } from "@bufbuild/protobuf";
import { numberProblem } from "../../domain/json/json-problems.ts";

/**
 * Parses JSON and keeps what a double would lose or overflow on: such a number becomes its spelling, as a string. Throws
 * SyntaxError.
 */
export function parseLossless(text: string): JsonValue {
  const value: JsonValue = JSON.parse(text);
  // Only long or exponential numbers can be lost, and most texts have none.
  return /\d{16}|\d[eE]/.test(text) ? JSON.parse(text.replace(stringOrNumber, keepNumber)) : value;
}

/** In a text that is JSON, the strings, which are left alone, and the numbers. */
const stringOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function keepNumber(token: string): string {
  if (token.startsWith('"')) return token;
  const value = Number(token);
  const isLost = /^-?\d+$/.test(token) && !Number.isSafeInteger(value);
  return isLost || numberProblem(value, token) !== undefined ? JSON.stringify(token) : token;
}

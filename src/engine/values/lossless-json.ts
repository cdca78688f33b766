import type { JsonValue } from "@bufbuild/protobuf";
import { numberProblem } from "../../domain/json/json-problems.ts";

/**
 * Parses JSON without loss of precision: a number that a double would round or overflow becomes a string of its digits. Throws
 * SyntaxError.
 */
export function parseLossless(text: string): JsonValue {
  const value: JsonValue = JSON.parse(text);
  // Only long numbers and those with an exponent can lose precision, and most texts have none.
  return /\d{16}|\d[eE]/.test(text) ? JSON.parse(text.replace(stringOrNumber, keepNumber)) : value;
}

/** Matches the strings of valid JSON, which stay as they are, and its numbers. */
const stringOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function keepNumber(token: string): string {
  if (token.startsWith('"')) {
    return token;
  }
  const value = Number(token);
  const isLost = /^-?\d+$/.test(token) && !Number.isSafeInteger(value);
  return isLost || numberProblem(value, token) !== undefined ? JSON.stringify(token) : token;
}

import type { JsonLimits } from "../limits.ts";

/** A fault of a value: a problem that goes on from its path ("is given twice"), or a limit that it passes. */
export type JsonFault =
  | { readonly problem: string }
  | { readonly limit: keyof JsonLimits; readonly max: number; readonly value: number };

/**
 * The fault of a number, if it has one. Its value counts and not its spelling: `1e20` is written again as an integer
 * of 21 digits, so it is refused as that integer is, and a text that was accepted is accepted after each reading and
 * writing.
 */
export function numberProblem(value: number, spelling: string): string | undefined {
  if (!Number.isFinite(value)) {
    return `holds ${spelling}, which is not a number that JSON and a double share; send it as a string`;
  }
  const isWrittenAsInteger = Number.isInteger(value) && Math.abs(value) < exponentFrom;
  return isWrittenAsInteger && !Number.isSafeInteger(value) ? integerProblem(spelling) : undefined;
}

export function integerProblem(spelling: string): string {
  return `holds the integer ${spelling}, beyond ±9007199254740991, where a double loses digits; send it as a string`;
}

/** Texts that no database or no other language can store. */
export const notUtf8Problem = "is not UTF-8; encode the text as UTF-8";
export const nulProblem = "holds the character NUL (\\u0000), which cannot be kept; leave it out";
export const loneSurrogateProblem = "holds half of a surrogate pair, which is not a character; send whole characters";

/** RFC 8259, section 4, does not define which of two equal names counts, and parsers differ. */
export const givenTwiceProblem = "is given twice in one object; send each name once";

/** From here on ECMAScript writes a number with an exponent. */
const exponentFrom = 1e21;

/** The fault of a text, if it has one. */
export function textProblem(text: string): string | undefined {
  if (!text.isWellFormed()) {
    return loneSurrogateProblem;
  }
  return text.includes("\0") ? nulProblem : undefined;
}

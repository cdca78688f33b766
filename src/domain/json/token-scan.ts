import { integerProblem, loneSurrogateProblem, notUtf8Problem, nulProblem, numberProblem } from "./json-problems.ts";

/** Throws the refusal of a problem at a byte. */
export type RefuseString = (offset: number, problem: string) => never;

/** Scans the strings of a JSON text in place: their escapes and their UTF-8. NUL and lone surrogates are refused. */
export class StringScanner {
  /** Whether the last scanned string has escapes. */
  isEscaped = false;
  readonly #bytes: Buffer;
  readonly #refuse: RefuseString;

  constructor(bytes: Buffer, refuse: RefuseString) {
    this.#bytes = bytes;
    this.#refuse = refuse;
  }

  /** Scans a string from a byte inside of it; answers the offset behind its closing quote. */
  scan(from: number): number {
    const bytes = this.#bytes;
    const end = bytes.length;
    this.isEscaped = false;
    for (let at = from; at < end; ) {
      let byte = bytes[at] ?? 0;
      // Nearly all characters are plain ASCII, so they get the tightest loop.
      while (byte !== 0x22 && byte !== 0x5c && byte >= 0x20 && byte < 0x80 && at < end) {
        byte = bytes[++at] ?? 0;
      }
      if (at === end) {
        break;
      }
      if (byte === 0x22) {
        return at + 1;
      }
      if (byte === 0x5c) {
        at = this.#escape(at);
      } else if (byte >= 0x80) {
        at = this.#sequence(at);
      } else {
        this.#refuse(at, "holds a control character inside a string; write it as an escape");
      }
    }
    this.#refuse(end, "is not well-formed JSON: the text ends inside a string");
  }

  #escape(at: number): number {
    this.isEscaped = true;
    switch (this.#bytes[at + 1]) {
      case 0x22: // "
      case 0x5c: // \
      case 0x2f: // /
      case 0x62: // b
      case 0x66: // f
      case 0x6e: // n
      case 0x72: // r
      case 0x74: // t
        return at + 2;
      case 0x75: // u
        return this.#unicodeEscape(at);
      default:
        this.#refuse(at, "holds an escape that JSON does not know; write the backslash as two");
    }
  }

  #unicodeEscape(at: number): number {
    const unit = this.#codeUnit(at);
    if (unit === 0) {
      this.#refuse(at, nulProblem);
    }
    if (unit < 0xd800 || unit > 0xdfff) {
      return at + 6;
    }
    const isPair = unit < 0xdc00 && this.#bytes[at + 6] === 0x5c && this.#bytes[at + 7] === 0x75;
    const low = isPair ? this.#codeUnit(at + 6) : 0;
    if (low < 0xdc00 || low > 0xdfff) {
      this.#refuse(at, loneSurrogateProblem);
    }
    return at + 12;
  }

  /** The four hexadecimal digits of the escape at `at`. */
  #codeUnit(at: number): number {
    let unit = 0;
    for (let index = at + 2; index < at + 6; index++) {
      const digit = hexDigit(this.#bytes[index] ?? 0);
      if (digit === -1) {
        this.#refuse(at, "holds an escape \\u without four hexadecimal digits");
      }
      unit = unit * 16 + digit;
    }
    return unit;
  }

  /** Passes one character of two to four bytes, by the table of well-formed sequences in Unicode 15, section 3.9. */
  #sequence(at: number): number {
    const bytes = this.#bytes;
    const lead = bytes[at] ?? 0;
    const second = bytes[at + 1] ?? 0;
    const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (lead === 0xed && second >= 0xa0 && second <= 0xbf) {
      this.#refuse(at, loneSurrogateProblem);
    }
    const isSecondFit =
      second >= (lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80) && second <= (lead === 0xf4 ? 0x8f : 0xbf);
    if (lead < 0xc2 || lead > 0xf4 || !isSecondFit) {
      this.#refuse(at, notUtf8Problem);
    }
    for (let index = at + 2; index < at + length; index++) {
      if (((bytes[index] ?? 0) & 0xc0) !== 0x80) {
        this.#refuse(at, notUtf8Problem);
      }
    }
    return at + length;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) {
    return byte - 0x30;
  }
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Passes the number that begins at `start`: the offset behind it, or the negative of the offset where a digit is missing. */
export function numberEnd(bytes: Buffer, start: number): number {
  let at = bytes[start] === 0x2d ? start + 1 : start;
  at = bytes[at] === 0x30 ? at + 1 : digitsEnd(bytes, at);
  if (at > 0 && bytes[at] === 0x2e) {
    at = digitsEnd(bytes, at + 1);
  }
  if (at > 0 && ((bytes[at] ?? 0) | 0x20) === 0x65) {
    const sign = bytes[at + 1];
    at = digitsEnd(bytes, sign === 0x2b || sign === 0x2d ? at + 2 : at + 1);
  }
  return at;
}

function digitsEnd(bytes: Buffer, start: number): number {
  let at = start;
  let byte = bytes[at] ?? 0;
  while (byte >= 0x30 && byte <= 0x39) {
    byte = bytes[++at] ?? 0;
  }
  return at === start ? -at : at;
}

/** The fault of a number, if it has one: a double has to hold it. */
export function literalProblem(bytes: Buffer, start: number, end: number): string | undefined {
  const length = end - start;
  const literal = length > 15 || hasExponent(bytes, start, end) ? bytes.toString("latin1", start, end) : undefined;
  // A double holds fifteen digits, whatever they are.
  if (literal === undefined) {
    return undefined;
  }
  const spelling = length > 40 ? `${literal.slice(0, 40)}…` : literal;
  const value = Number(literal);
  const isInteger = /^-?\d+$/.test(literal);
  return (
    numberProblem(value, spelling) ?? (isInteger && !Number.isSafeInteger(value) ? integerProblem(spelling) : undefined)
  );
}

function hasExponent(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (((bytes[at] ?? 0) | 0x20) === 0x65) {
      return true;
    }
  }
  return false;
}

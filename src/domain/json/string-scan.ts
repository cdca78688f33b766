import { loneSurrogateProblem, notUtf8Problem, nulProblem } from "./json-problems.ts";

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

  /** Scans the string whose opening quote is at `start`; answers the offset behind its closing quote. */
  scan(start: number): number {
    const bytes = this.#bytes;
    const end = bytes.length;
    this.isEscaped = false;
    for (let at = start + 1; at < end; ) {
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

import { integerProblem } from "./json-problems.ts";
import { faultRefused, invalidJson, jsonPath, rootRefused } from "./json-refusal.ts";
import type { JsonRules } from "./json-rules.ts";
import type { JsonText } from "./json-text.ts";
import { JsonVerdict } from "./json-verdict.ts";
import { MemberNames } from "./member-names.ts";
import { StringScanner } from "./string-scan.ts";

/**
 * Scans the bytes of a JSON text before anything parses them, so that a hostile text costs no more than one pass: there
 * is no recursion, and memory is bounded by `depthMax`.
 *
 * A text is taken when it is well-formed by RFC 8259 and UTF-8, keeps to the limits, and holds no name twice in one object
 * (`"a"` and `"\u0061"` are one name), no NUL, no lone surrogate, and no number that a double cannot hold.
 *
 * Throws RequestError: PAYLOAD_TOO_LARGE, PAYLOAD_TOO_DEEP, VALIDATION_ERROR for a root of another kind, INVALID_JSON
 * for all else; with the path and the byte in its metadata.
 */
export function scanJson(bytes: Uint8Array, rules: JsonRules): JsonText {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  new JsonScanner(buffer, rules).scan();
  // The scan has just made sure of what the brand says.
  return buffer.toString("utf8") as JsonText;
}

/** An open container. */
type Level = {
  isObject: boolean;
  /** Items or members so far, the current one included. */
  count: number;
  readonly names: MemberNames;
};

class JsonScanner {
  readonly #bytes: Buffer;
  readonly #rules: JsonRules;
  readonly #verdict: JsonVerdict;
  readonly #strings: StringScanner;
  readonly #levels: Level[] = [];
  #depth = 0;
  #position = 0;
  /** Where the refused part begins; the position, where it is not said. */
  #faultOffset: number | undefined;

  constructor(bytes: Buffer, rules: JsonRules) {
    this.#bytes = bytes;
    this.#rules = rules;
    this.#verdict = new JsonVerdict(rules.limits, (fault) => {
      throw faultRefused(this.#place(this.#faultOffset ?? this.#position), fault);
    });
    this.#strings = new StringScanner(bytes, (offset, problem) => this.#refuse(offset, problem));
  }

  scan(): void {
    this.#checkStart();
    this.#value(this.#skipBlanks());
    while (this.#depth > 0) {
      this.#member();
    }
    if (this.#skipBlanks() !== -1) {
      this.#refuse(this.#position, "goes on after its value; send one JSON value");
    }
  }

  #checkStart(): void {
    this.#verdict.bytes(this.#bytes.length);
    if (this.#bytes[0] === 0xef && this.#bytes[1] === 0xbb && this.#bytes[2] === 0xbf) {
      this.#refuse(0, "starts with a byte order mark; send it without one");
    }
    const first = this.#skipBlanks();
    const isOtherKind = first === 0x5b || first === 0x22 || first === 0x2d || isDigit(first) || isWordStart(first);
    if (this.#rules.root === "object" && isOtherKind) {
      throw rootRefused(this.#place(this.#position));
    }
  }

  /** Reads the end of the innermost open container, or its next item or member. */
  #member(): void {
    const level = this.#level();
    let byte = this.#skipBlanks();
    if (byte === (level.isObject ? 0x7d : 0x5d)) {
      this.#depth--;
      this.#position++;
      return;
    }
    if (level.count > 0) {
      if (byte !== 0x2c) {
        this.#refuseHere(level.isObject ? 'a comma or "}"' : 'a comma or "]"', byte);
      }
      this.#position++;
      byte = this.#skipBlanks();
    }
    level.count++;
    if (level.isObject) {
      byte = this.#name(level, byte);
    }
    this.#value(byte);
  }

  /** Reads a member's name and colon; answers the byte that its value starts with. */
  #name(level: Level, byte: number): number {
    level.names.begin();
    if (byte !== 0x22) {
      this.#refuseHere("a member name in double quotes", byte);
    }
    this.#verdict.members(level.count);
    const start = this.#position + 1;
    this.#position = this.#strings.scan(this.#position);
    if (!level.names.add(start, this.#position - 1, this.#strings.isEscaped)) {
      this.#faultOffset = start - 1;
      this.#verdict.nameTwice();
    }
    const colon = this.#skipBlanks();
    if (colon !== 0x3a) {
      this.#refuseHere("a colon", colon);
    }
    this.#position++;
    return this.#skipBlanks();
  }

  #value(byte: number): void {
    this.#verdict.value();
    if (byte === 0x22) {
      this.#position = this.#strings.scan(this.#position);
    } else if (byte === 0x7b || byte === 0x5b) {
      this.#open(byte === 0x7b);
    } else if (byte === 0x2d || isDigit(byte)) {
      this.#number();
    } else if (byte === 0x74) {
      this.#word("true");
    } else if (byte === 0x66) {
      this.#word("false");
    } else if (byte === 0x6e) {
      this.#word("null");
    } else {
      this.#refuseHere("a value", byte);
    }
  }

  #open(isObject: boolean): void {
    this.#verdict.depth(this.#depth + 1);
    this.#position++;
    const level = this.#levels[this.#depth++];
    if (level === undefined) {
      this.#levels.push({ isObject, count: 0, names: new MemberNames(this.#bytes) });
    } else {
      level.isObject = isObject;
      level.count = 0;
      level.names.clear();
    }
  }

  #word(word: string): void {
    for (let index = 0; index < word.length; index++, this.#position++) {
      const byte = this.#byteAt(this.#position);
      if (byte !== word.charCodeAt(index)) {
        this.#refuseHere(`the word ${word}`, byte);
      }
    }
  }

  #number(): void {
    const start = this.#position;
    let at = this.#byteAt(start) === 0x2d ? start + 1 : start;
    at = this.#byteAt(at) === 0x30 ? at + 1 : this.#digits(at);
    const integerEnd = at;
    if (this.#byteAt(at) === 0x2e) {
      at = this.#digits(at + 1);
    }
    const fractionEnd = at;
    if ((this.#byteAt(at) | 0x20) === 0x65) {
      const sign = this.#byteAt(at + 1);
      at = this.#digits(sign === 0x2b || sign === 0x2d ? at + 2 : at + 1);
    }
    this.#position = at;
    // Fifteen digits before the point and no exponent: a double holds the integer part whatever the digits are.
    if (integerEnd - start > 15 || at > fractionEnd) {
      this.#checkNumber(start, at === integerEnd);
    }
  }

  #digits(start: number): number {
    let at = start;
    while (isDigit(this.#byteAt(at))) {
      at++;
    }
    if (at === start) {
      this.#position = at;
      this.#refuseHere("a digit", this.#byteAt(at));
    }
    return at;
  }

  #checkNumber(start: number, isIntegerLiteral: boolean): void {
    const literal = this.#bytes.toString("latin1", start, this.#position);
    const spelling = literal.length > 40 ? `${literal.slice(0, 40)}…` : literal;
    const value = Number(literal);
    this.#faultOffset = start;
    this.#verdict.number(value, spelling);
    this.#faultOffset = undefined;
    if (isIntegerLiteral && !Number.isSafeInteger(value)) {
      this.#refuse(start, integerProblem(spelling));
    }
  }

  /** Skips white space; answers the byte it stops at, or -1 at the end. */
  #skipBlanks(): number {
    let at = this.#position;
    let byte = this.#byteAt(at);
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
      byte = this.#byteAt(++at);
    }
    this.#position = at;
    return byte;
  }

  #byteAt(offset: number): number {
    return offset < this.#bytes.length ? (this.#bytes[offset] ?? -1) : -1;
  }

  #level(): Level {
    const level = this.#levels[this.#depth - 1];
    if (level === undefined) {
      throw new Error("no container is open");
    }
    return level;
  }

  #refuseHere(expected: string, byte: number): never {
    const found = byte === -1 ? "the text ends" : `there is ${shown(byte)}`;
    this.#refuse(this.#position, `is not well-formed JSON: ${found} where ${expected} is due`);
  }

  #refuse(offset: number, problem: string): never {
    throw invalidJson(this.#place(offset), problem);
  }

  #place(offset: number): { path: string; offset: number } {
    const steps: (string | number)[] = [];
    for (const level of this.#levels.slice(0, this.#depth)) {
      if (!level.isObject) {
        steps.push(Math.max(level.count - 1, 0));
      } else if (level.names.last !== undefined) {
        steps.push(level.names.last);
      }
    }
    return { path: jsonPath(this.#rules.name, steps), offset };
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isWordStart(byte: number): boolean {
  return byte === 0x74 || byte === 0x66 || byte === 0x6e;
}

function shown(byte: number): string {
  return byte > 0x20 && byte < 0x7f ? JSON.stringify(String.fromCharCode(byte)) : `the byte 0x${byte.toString(16)}`;
}

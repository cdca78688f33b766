import type { JsonLimits } from "../limits.ts";
import { givenTwiceProblem } from "./json-problems.ts";
import { invalidJson, jsonPath, limitPassed, rootRefused } from "./json-refusal.ts";
import type { JsonRules } from "./json-rules.ts";
import type { JsonText } from "./json-text.ts";
import { MemberNames, nameText } from "./member-names.ts";
import { literalProblem, numberEnd, StringScanner } from "./token-scan.ts";

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
  /** The current member's name without its quotes; the end is -1 until it is read. */
  nameStart: number;
  nameEnd: number;
  /** Start and end of the names so far, as long as there are few and none is escaped. */
  readonly spans: number[];
  /** The names so far, where there are many or one is escaped. */
  names: MemberNames | undefined;
};

/** Up to this number, comparing a name with each one before it costs less than a Set. */
const spansMax = 16;

class JsonScanner {
  readonly #bytes: Buffer;
  readonly #rules: JsonRules;
  readonly #levels: Level[] = [];
  #depth = 0;
  #values = 0;
  #position = 0;
  /** Made for the first string that holds more than plain ASCII. */
  #strings: StringScanner | undefined;
  /** Whether the last string has escapes. */
  #isEscaped = false;

  constructor(bytes: Buffer, rules: JsonRules) {
    this.#bytes = bytes;
    this.#rules = rules;
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
    if (this.#bytes.length > this.#rules.limits.bytesMax) {
      this.#pass("bytesMax", this.#bytes.length);
    }
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
    level.nameEnd = -1;
    if (byte !== 0x22) {
      this.#refuseHere("a member name in double quotes", byte);
    }
    if (level.count > this.#rules.limits.keysMax) {
      this.#pass("keysMax", level.count);
    }
    level.nameStart = this.#position + 1;
    this.#string();
    level.nameEnd = this.#position - 1;
    if (!this.#isNew(level)) {
      this.#refuse(level.nameStart - 1, givenTwiceProblem);
    }
    const colon = this.#skipBlanks();
    if (colon !== 0x3a) {
      this.#refuseHere("a colon", colon);
    }
    this.#position++;
    return this.#skipBlanks();
  }

  #value(byte: number): void {
    if (++this.#values > this.#rules.limits.valuesMax) {
      this.#pass("valuesMax", this.#values);
    }
    if (byte === 0x22) {
      this.#string();
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

  /** Whether the object does not have the current name yet. `"a"` and `"\u0061"` are one name. */
  #isNew({ count, spans, nameStart, nameEnd, names }: Level): boolean {
    if (names !== undefined || this.#isEscaped || count > spansMax) {
      return this.#isNewAmongMany();
    }
    const index = 2 * (count - 1);
    for (let before = 0; before < index; before += 2) {
      const end = spans[before + 1] ?? 0;
      if (end - (spans[before] ?? 0) !== nameEnd - nameStart) {
        continue;
      }
      // Backwards, since names of one length mostly differ at their end.
      let back = 1;
      while (nameEnd - back >= nameStart && this.#bytes[nameEnd - back] === this.#bytes[end - back]) {
        back++;
      }
      if (nameEnd - back < nameStart) {
        return false;
      }
    }
    spans[index] = nameStart;
    spans[index + 1] = nameEnd;
    return true;
  }

  #isNewAmongMany(): boolean {
    const level = this.#level();
    level.names ??= new MemberNames(this.#bytes, level.spans.slice(0, 2 * (level.count - 1)));
    return level.names.add(level.nameStart, level.nameEnd);
  }

  /** Passes the string that begins here. */
  #string(): void {
    const bytes = this.#bytes;
    let at = this.#position + 1;
    let byte = bytes[at] ?? 0;
    // Nearly all characters are plain ASCII, so they get the tightest loop.
    while (byte !== 0x22 && byte !== 0x5c && byte >= 0x20 && byte < 0x80) {
      byte = bytes[++at] ?? 0;
    }
    this.#isEscaped = false;
    if (byte === 0x22) {
      this.#position = at + 1;
      return;
    }
    this.#strings ??= new StringScanner(bytes, (offset, problem) => this.#refuse(offset, problem));
    this.#position = this.#strings.scan(at);
    this.#isEscaped = this.#strings.isEscaped;
  }

  #open(isObject: boolean): void {
    if (this.#depth >= this.#rules.limits.depthMax) {
      this.#pass("depthMax", this.#depth + 1);
    }
    this.#position++;
    const level = this.#levels[this.#depth++];
    if (level === undefined) {
      this.#levels.push({ isObject, count: 0, nameStart: 0, nameEnd: -1, spans: [], names: undefined });
    } else {
      level.isObject = isObject;
      level.count = 0;
      level.nameEnd = -1;
      level.names = undefined;
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
    const end = numberEnd(this.#bytes, start);
    this.#position = Math.abs(end);
    if (end < 0) {
      this.#refuseHere("a digit", this.#byteAt(-end));
    }
    const problem = literalProblem(this.#bytes, start, end);
    if (problem !== undefined) {
      this.#refuse(start, problem);
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

  #pass(limit: keyof JsonLimits, value: number): never {
    throw limitPassed(this.#place(this.#position), { limit, max: this.#rules.limits[limit], value });
  }

  #place(offset: number): { path: string; offset: number } {
    const steps: (string | number)[] = [];
    for (const level of this.#levels.slice(0, this.#depth)) {
      if (!level.isObject) {
        steps.push(Math.max(level.count - 1, 0));
      } else if (level.nameEnd >= 0) {
        steps.push(nameText(this.#bytes, level.nameStart, level.nameEnd));
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

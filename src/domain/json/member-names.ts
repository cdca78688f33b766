/** Up to this number, comparing a name with each one before it costs less than a Set. */
const spansMax = 16;

/**
 * The member names of one object while its bytes are scanned. `"a"` and `"\u0061"` are one name. Names are compared as bytes
 * where they can be, and decoded only where an object has many or one is escaped.
 */
export class MemberNames {
  readonly #bytes: Buffer;
  /** Start and end of the names so far, as long as there are few and none is escaped. */
  readonly #spans = new Int32Array(2 * spansMax);
  /** The decoded names so far, their UTF-8 bytes as latin1 text; set where there are many or one is escaped. */
  #decoded: Set<string> | undefined;
  #count = 0;
  /** The current member's name without its quotes; the end is -1 until it is read. */
  #start = 0;
  #end = -1;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Forgets all names, for another object. */
  clear(): void {
    this.#decoded = undefined;
    this.#count = 0;
    this.#end = -1;
  }

  /** Another member begins, whose name is not read yet. */
  begin(): void {
    this.#end = -1;
  }

  /** The name of the current member; undefined until it is read. */
  get last(): string | undefined {
    return this.#end < 0 ? undefined : this.#text();
  }

  /** Adds a name by its place without quotes. Answers false where the object has it already. */
  add(start: number, end: number, isEscaped: boolean): boolean {
    this.#start = start;
    this.#end = end;
    if (this.#decoded === undefined && (isEscaped || this.#count >= spansMax)) {
      this.#decoded = new Set(this.#namesBefore());
    }
    if (this.#decoded === undefined) {
      return this.#addSpan();
    }
    const name = isEscaped ? Buffer.from(this.#text(), "utf8").toString("latin1") : this.#latin1(start, end);
    if (this.#decoded.has(name)) {
      return false;
    }
    this.#decoded.add(name);
    return true;
  }

  #addSpan(): boolean {
    const index = 2 * this.#count;
    for (let before = 0; before < index; before += 2) {
      const start = this.#spans[before] ?? 0;
      const end = this.#spans[before + 1] ?? 0;
      if (end - start === this.#end - this.#start && this.#areEqual(end, end - start)) {
        return false;
      }
    }
    this.#spans[index] = this.#start;
    this.#spans[index + 1] = this.#end;
    this.#count++;
    return true;
  }

  /** Compares backwards: names of one length mostly differ at their end. */
  #areEqual(otherEnd: number, length: number): boolean {
    for (let back = 1; back <= length; back++) {
      if (this.#bytes[this.#end - back] !== this.#bytes[otherEnd - back]) {
        return false;
      }
    }
    return true;
  }

  *#namesBefore(): Iterable<string> {
    for (let index = 0; index < 2 * this.#count; index += 2) {
      yield this.#latin1(this.#spans[index] ?? 0, this.#spans[index + 1] ?? 0);
    }
  }

  #latin1(start: number, end: number): string {
    return this.#bytes.toString("latin1", start, end);
  }

  #text(): string {
    return String(JSON.parse(this.#bytes.toString("utf8", this.#start - 1, this.#end + 1)));
  }
}

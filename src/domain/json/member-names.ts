/** The member names of an object that has many of them, or escaped ones, while its bytes are scanned. */
export class MemberNames {
  readonly #bytes: Buffer;
  /** The decoded names so far, their UTF-8 bytes as latin1 text. */
  readonly #decoded = new Set<string>();

  /** @param spans start and end of each of the names so far, which have no escapes */
  constructor(bytes: Buffer, spans: readonly number[]) {
    this.#bytes = bytes;
    for (let index = 0; index < spans.length; index += 2) {
      this.#decoded.add(bytes.toString("latin1", spans[index], spans[index + 1]));
    }
  }

  /** Adds a name by its place without quotes. Answers false where the object has it already. */
  add(start: number, end: number): boolean {
    const plain = this.#bytes.toString("latin1", start, end);
    const name = plain.includes("\\")
      ? Buffer.from(nameText(this.#bytes, start, end), "utf8").toString("latin1")
      : plain;
    return this.#decoded.size !== this.#decoded.add(name).size;
  }
}

/** A name as a text, by its place without quotes. */
export function nameText(bytes: Buffer, start: number, end: number): string {
  return String(JSON.parse(bytes.toString("utf8", start - 1, end + 1)));
}

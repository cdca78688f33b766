import type { JsonValue } from "@bufbuild/protobuf";

/**
 * Encodes a JSON value as the content of a google.protobuf.Value, or an object as that of a google.protobuf.Struct. The
 * messages of protobuf-es are not made: a value of 20,000 members takes a few milliseconds in place of 80.
 */
export function encodeJson(value: JsonValue, as: "value" | "struct"): Uint8Array {
  const writer = new JsonEncoder();
  const length = as === "struct" ? writer.measureContainer(value) : writer.measure(value);
  return writer.encode(value, as, length);
}

/** Measures a value first, and then writes it with the lengths that it met, in the same order. */
class JsonEncoder {
  readonly #lengths: number[] = [];
  #next = 0;
  #bytes = Buffer.alloc(0);
  #position = 0;

  encode(value: JsonValue, as: "value" | "struct", length: number): Uint8Array {
    this.#bytes = Buffer.allocUnsafe(length);
    if (as === "struct") {
      this.#writeContainer(value);
    } else {
      this.#writeValue(value);
    }
    return this.#bytes;
  }

  /** The bytes of a Value's content. */
  measure(value: JsonValue): number {
    if (typeof value === "string") {
      const length = Buffer.byteLength(value);
      this.#lengths.push(length);
      return fieldBytes(length);
    }
    if (typeof value === "object" && value !== null) {
      const index = this.#lengths.push(0) - 1;
      const length = this.measureContainer(value);
      this.#lengths[index] = length;
      return fieldBytes(length);
    }
    return typeof value === "number" ? 9 : 2;
  }

  /** The bytes of the content of a Struct or a ListValue. */
  measureContainer(value: JsonValue): number {
    let sum = 0;
    if (Array.isArray(value)) {
      for (const item of value) {
        sum += this.#measurePart(item);
      }
      return sum;
    }
    for (const [name, member] of Object.entries(value ?? {})) {
      const index = this.#lengths.push(0, 0) - 2;
      const nameBytes = Buffer.byteLength(name);
      const length = fieldBytes(nameBytes) + this.#measurePart(member);
      this.#lengths[index] = length;
      this.#lengths[index + 1] = nameBytes;
      sum += fieldBytes(length);
    }
    return sum;
  }

  /** The bytes of a Value inside of a container, with its tag and length. */
  #measurePart(value: JsonValue): number {
    const index = this.#lengths.push(0) - 1;
    const length = this.measure(value);
    this.#lengths[index] = length;
    return fieldBytes(length);
  }

  #writeValue(value: JsonValue): void {
    switch (typeof value) {
      case "string":
        this.#text(0x1a, value);
        break;
      case "number":
        this.#byte(0x11);
        this.#position = this.#bytes.writeDoubleLE(value, this.#position);
        break;
      case "boolean":
        this.#byte(0x20);
        this.#byte(value ? 1 : 0);
        break;
      default:
        if (value === null) {
          this.#byte(0x08);
          this.#byte(0);
        } else {
          this.#head(Array.isArray(value) ? 0x32 : 0x2a);
          this.#writeContainer(value);
        }
    }
  }

  #writeContainer(value: JsonValue): void {
    if (Array.isArray(value)) {
      for (const item of value) {
        this.#head(0x0a);
        this.#writeValue(item);
      }
      return;
    }
    for (const [name, member] of Object.entries(value ?? {})) {
      this.#head(0x0a);
      this.#text(0x0a, name);
      this.#head(0x12);
      this.#writeValue(member);
    }
  }

  #text(tag: number, text: string): void {
    this.#head(tag);
    this.#position += this.#bytes.write(text, this.#position);
  }

  /** A tag, and the length that was measured next. */
  #head(tag: number): void {
    this.#byte(tag);
    let length = this.#lengths[this.#next++] ?? 0;
    while (length > 0x7f) {
      this.#byte((length & 0x7f) | 0x80);
      length >>>= 7;
    }
    this.#byte(length);
  }

  #byte(byte: number): void {
    this.#bytes[this.#position++] = byte;
  }
}

/** The bytes of a field with its tag of one byte and its length. */
function fieldBytes(length: number): number {
  let bytes = 2 + length;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) {
    bytes++;
  }
  return bytes;
}

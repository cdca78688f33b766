import { WireType } from "@bufbuild/protobuf/wire";
import { RequestError } from "../../../domain/request-error.ts";

/** Offsets of a part of the bytes: its first, and the one behind its last. */
export type Span = { readonly start: number; readonly end: number };

/**
 * Reads protobuf's wire format (protobuf.dev/programming-guides/encoding) from bytes that nobody vouches for. No read
 * goes beyond the `end` it is given; what is malformed is refused as VALIDATION_ERROR with its offset.
 */
export class WireCursor {
  offset = 0;
  readonly #bytes: Buffer;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Field number times 8 plus the wire type. */
  tag(end: number): number {
    const start = this.offset;
    const tag = this.varint(end);
    // The decoder takes a tag of more bytes for one that does not fit, whatever its value.
    if (tag < 8 || tag > 0xffffffff || this.offset - start > tagBytesMax) {
      this.refuse("holds a field number that does not exist", start);
    }
    return tag;
  }

  /** Exact up to 2⁵³; 0 only for 0. */
  varint(end: number): number {
    const start = this.offset;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < varintBytesMax; count += 1) {
      const byte = this.offset < end ? this.#bytes[this.offset] : undefined;
      if (byte === undefined) {
        this.refuse("ends inside a number", start);
      }
      this.offset += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        return value;
      }
      scale *= 0x80;
    }
    this.refuse(`holds a number of more than ${varintBytesMax} bytes`, start);
  }

  double(end: number): number {
    const { offset } = this;
    this.#pass(8, end);
    return this.#view.getFloat64(offset, true);
  }

  /** Passes a length and what has that length. */
  span(end: number): Span {
    const spanEnd = this.lengthEnd(end);
    const start = this.offset;
    this.offset = spanEnd;
    return { start, end: spanEnd };
  }

  /** Reads a length; answers the offset where what has that length ends. */
  lengthEnd(end: number): number {
    const start = this.offset;
    const length = this.varint(end);
    if (length > end - this.offset) {
      this.refuse("announces more bytes than there are", start);
    }
    return this.offset + length;
  }

  /** Passes a value whose content does not matter. Groups, which nest, are the caller's. */
  skip(wireType: WireType, end: number): void {
    switch (wireType) {
      case WireType.Varint:
        this.varint(end);
        return;
      case WireType.Bit64:
        this.#pass(8, end);
        return;
      case WireType.Bit32:
        this.#pass(4, end);
        return;
      case WireType.LengthDelimited:
        this.offset = this.lengthEnd(end);
        return;
      default:
        this.refuse(`holds the wire type ${wireType} where there can be none`);
    }
  }

  /** Whether the bytes of a span are all from 1 to 127. Asked first, since most texts are, and are short. */
  isPlain({ start, end }: Span): boolean {
    for (let at = start; at < end; at += 1) {
      const byte = this.#bytes[at] ?? 0;
      if (byte === 0 || byte > 0x7f) {
        return false;
      }
    }
    return true;
  }

  bytesOf({ start, end }: Span): Buffer {
    return this.#bytes.subarray(start, end);
  }

  /** The text of a span that is known to be UTF-8. */
  textOf({ start, end }: Span): string {
    return this.#bytes.toString("utf8", start, end);
  }

  refuse(problem: string, offset = this.offset): never {
    throw new RequestError(
      "VALIDATION_ERROR",
      `The message is not valid protobuf: it ${problem} (at byte ${offset}).`,
      {
        metadata: { offset: String(offset) },
      },
    );
  }

  #pass(length: number, end: number): void {
    if (length > end - this.offset) {
      this.refuse(`ends inside a number of ${length} bytes`);
    }
    this.offset += length;
  }
}

/** Seven bits of a byte count, and 64 are the most there are. */
const varintBytesMax = 10;

/** A tag is a number of 32 bits. */
const tagBytesMax = 5;

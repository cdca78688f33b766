import { WireType } from "@bufbuild/protobuf/wire";
import { RequestError } from "../../../domain/request-error.ts";

/** A part of the bytes, from `start` up to `end`, which is not included. */
export type Span = { readonly start: number; readonly end: number };

/**
 * Reads protobuf's wire format (protobuf.dev/programming-guides/encoding) from untrusted bytes. No read goes beyond its
 * `end`; malformed bytes are refused as VALIDATION_ERROR with their offset.
 */
export class WireCursor {
  offset = 0;
  readonly #bytes: Buffer;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Reads a tag: the field number times 8 plus the wire type. */
  tag(end: number): number {
    const start = this.offset;
    const tag = this.varint(end);
    // The decoder refuses a tag of more bytes, whatever its value is.
    if (tag < 8 || tag > 0xffffffff || this.offset - start > tagBytesMax) {
      this.refuse("holds a field number that does not exist", start);
    }
    return tag;
  }

  /** Reads a varint, exact up to 2⁵³. */
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

  /** Reads a length, and skips the bytes of that length. */
  span(end: number): Span {
    const spanEnd = this.lengthEnd(end);
    const start = this.offset;
    this.offset = spanEnd;
    return { start, end: spanEnd };
  }

  /** Reads a length; answers the offset behind the bytes of that length. */
  lengthEnd(end: number): number {
    const start = this.offset;
    const length = this.varint(end);
    if (length > end - this.offset) {
      this.refuse("announces more bytes than there are", start);
    }
    return this.offset + length;
  }

  /** Skips a value. The caller handles groups, since they nest. */
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

  /** Whether all bytes of a span are ASCII and not NUL, as in most texts; the full check of UTF-8 costs more. */
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

  /** The text of a span that was checked to be UTF-8. */
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

/** A varint has at most 64 bits, seven in each byte. */
const varintBytesMax = 10;

/** A tag has at most 32 bits. */
const tagBytesMax = 5;

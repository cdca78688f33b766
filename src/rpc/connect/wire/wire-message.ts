import {
  type DescMessage,
  fromBinary,
  type JsonObject,
  type JsonValue,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { carriedText } from "../../../domain/json/json-parse.ts";
import { jsonFieldsOf, putStructs, structMark } from "../../../domain/json/json-structs.ts";
import type { JsonLimits } from "../../../domain/limits.ts";
import { RequestError } from "../../../domain/request-error.ts";
import type { StructSpan } from "./wire-frame.ts";
import { scanWire } from "./wire-scan.ts";
import { encodeJson } from "./wire-value.ts";

/**
 * Reads a message from its binary form. Throws RequestError as `scanWire` does.
 *
 * protobuf-es makes a message of each value inside a google.protobuf.Struct and then an object of each message: 80 ms for
 * 20,000 members. The scanner makes the object in the pass that it needs anyway, so the decoder is shown, in a copy of the
 * bytes, a Struct that holds no more than a mark; the object is put in its place.
 */
export function messageFromBinary(schema: DescMessage, bytes: Uint8Array, limits: JsonLimits): Message {
  const structs = scanWire(bytes, schema, limits).filter(({ start, end }) => end - start >= hiddenBytesMin);
  try {
    if (structs.length === 0) {
      return fromBinary(schema, bytes);
    }
    const message = fromBinary(schema, withoutStructs(bytes, structs), { readUnknownFields: false });
    putStructs(
      schema,
      message,
      structs.map(({ object }) => object),
    );
    return message;
  } catch (cause) {
    throw new RequestError("VALIDATION_ERROR", `The body is not a ${schema.typeName} in protobuf's binary form.`, {
      cause,
    });
  }
}

/** The one member of a Struct that is hidden: its name is the mark, and its value a number, which is written behind this. */
const markEntry = Buffer.concat([
  Buffer.of(0x0a, 2 + structMark.length + 2 + 9, 0x0a, structMark.length),
  Buffer.from(structMark),
  Buffer.of(0x12, 9, 0x11),
]);
const markBytes = markEntry.length + 8;

/** Behind the mark stands a field that no Struct has: its tag, and its length in as many bytes as any length may need. */
const skippedHeadBytes = 6;
const hiddenBytesMin = markBytes + skippedHeadBytes;

function withoutStructs(bytes: Uint8Array, structs: readonly StructSpan[]): Uint8Array {
  const copy = Buffer.from(bytes);
  structs.forEach(({ start, end }, index) => {
    copy.set(markEntry, start);
    copy.writeDoubleLE(index, start + markEntry.length);
    const skipped = start + markBytes;
    copy[skipped] = 0x12;
    let length = end - skipped - skippedHeadBytes;
    for (let at = skipped + 1; at < skipped + 5; at++) {
      copy[at] = (length & 0x7f) | 0x80;
      length >>>= 7;
    }
    copy[skipped + 5] = length;
  });
  return copy;
}

/**
 * Writes a message in its binary form. A google.protobuf.Value or Struct in a field of the message itself is encoded from
 * its JSON, where it has one, since protobuf-es would make a message of each value in it.
 */
export function messageToBinary(schema: DescMessage, message: Message): Uint8Array {
  const parts: Uint8Array[] = [];
  // A field is read under its name, since protobuf-es would make a message of what it holds.
  let rest = message as Message & Record<string, unknown>;
  for (const { localName, number, isStruct } of jsonFieldsOf(schema)) {
    const value = rest[localName];
    const text = carriedText(value);
    // A Struct in a field of a message is an object of JSON.
    const json: JsonValue | undefined =
      text !== undefined ? JSON.parse(text) : isStruct ? (value as JsonObject | undefined) : undefined;
    if (json !== undefined) {
      rest = { ...rest, [localName]: undefined };
      const content = encodeJson(json, isStruct ? "struct" : "value");
      parts.push(new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(content.length).finish(), content);
    }
  }
  const encoded = toBinary(schema, rest);
  return parts.length === 0 ? encoded : Buffer.concat([encoded, ...parts]);
}

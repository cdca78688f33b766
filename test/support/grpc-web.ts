import { gunzipSync } from "node:zlib";

/** A message or a trailer as gRPC-Web sends it: flags, length, data. */
export function frame(flags: number, data: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(data.length, 1);
  return Buffer.concat([head, data]);
}

/** Reads base64 whose pieces may each end in padding. */
export function decodePieces(text: string): Buffer {
  return Buffer.concat(text.split(/(?<==)(?=[^=])/).map((piece) => Buffer.from(piece, "base64")));
}

/** What a body of gRPC-Web holds, unpacked. */
export function* framesOf(bytes: Buffer): Iterable<{ readonly flags: number; readonly data: Buffer }> {
  for (let offset = 0; offset < bytes.length; ) {
    const flags = bytes.readUInt8(offset);
    const end = offset + 5 + bytes.readUInt32BE(offset + 1);
    const data = bytes.subarray(offset + 5, end);
    yield { flags, data: (flags & 1) === 1 ? gunzipSync(data) : data };
    offset = end;
  }
}

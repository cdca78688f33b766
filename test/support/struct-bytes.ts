/** The binary form of google.protobuf.Value that holds containers inside one another, made without recursion. */
export function nestedValue(kind: "array" | "object", depth: number): Uint8Array {
  // From the inside out, each container a few bytes before those that it holds; joined from the outside in.
  const pieces: Buffer[] = [];
  let length = 0;
  const add = (...bytes: readonly number[]) => {
    pieces.push(Buffer.from(bytes));
    length += bytes.length;
  };
  const wrap = (field: number) => add((field << 3) | 2, ...varint(length));
  for (let level = 0; level < depth; level += 1) {
    if (level > 0 && kind === "array") {
      wrap(1);
    }
    if (level > 0 && kind === "object") {
      wrap(2);
      add(0x0a, 1, 0x61);
      wrap(1);
    }
    wrap(kind === "array" ? 6 : 5);
  }
  return Buffer.concat(pieces.reverse());
}

export function varint(value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) | 128);
  }
  return [...bytes, rest];
}

/** A field of bytes, text or a message. */
export function lengthField(number: number, data: Uint8Array | string): Buffer {
  const bytes = Buffer.from(data);
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...varint(bytes.length)]), bytes]);
}

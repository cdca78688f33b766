/*
 * The base64 of `application/grpc-web-text`, which browsers that cannot read binary bodies send and take:
 * github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
 */

export function encodeBase64(bytes: Uint8Array): Uint8Array {
  return Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64"));
}

/**
 * Decodes base64 whose pieces may each end in padding of their own; undefined for text that is not base64. It takes one
 * pass: a decoder that is called for each piece is called a million times for a body of nothing but padded pieces.
 */
export function decodeBase64(text: Uint8Array): Uint8Array | undefined {
  if (text.length % 4 !== 0) {
    return undefined;
  }
  const bytes = Buffer.alloc((text.length / 4) * 3);
  let length = 0;
  for (let index = 0; index < text.length; index += 4) {
    const isShort = text[index + 3] === padding;
    const isShorter = isShort && text[index + 2] === padding;
    const first = sextet(text[index]);
    const second = sextet(text[index + 1]);
    const third = isShorter ? 0 : sextet(text[index + 2]);
    const fourth = isShort ? 0 : sextet(text[index + 3]);
    // An invalid character is -1, which makes the whole negative.
    if ((first | second | third | fourth) < 0) {
      return undefined;
    }
    const bits = (first << 18) | (second << 12) | (third << 6) | fourth;
    bytes[length++] = bits >> 16;
    if (!isShorter) {
      bytes[length++] = bits >> 8;
    }
    if (!isShort) {
      bytes[length++] = bits;
    }
  }
  return bytes.subarray(0, length);
}

const padding = "=".charCodeAt(0);

/** The six bits of a character; -1 for an invalid one. */
function sextet(code = 0): number {
  if (code >= 97 && code <= 122) {
    return code - 71;
  }
  if (code >= 65 && code <= 90) {
    return code - 65;
  }
  if (code >= 48 && code <= 57) {
    return code + 4;
  }
  if (code === 43) {
    return 62;
  }
  return code === 47 ? 63 : -1;
}

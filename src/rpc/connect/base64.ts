/**
 * Decodes the base64 of `application/grpc-web-text`, whose pieces may each end in padding of their own. Answers
 * undefined for what is not base64. One pass, since a body of nothing but padded pieces is a million of them.
 */
export function decodeBase64(text: Uint8Array): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  const bytes = Buffer.alloc((text.length / 4) * 3);
  let length = 0;
  for (let index = 0; index < text.length; index += 4) {
    const isShort = text[index + 3] === padding;
    const isShorter = isShort && text[index + 2] === padding;
    const first = sextet(text[index]);
    const second = sextet(text[index + 1]);
    const third = isShorter ? 0 : sextet(text[index + 2]);
    const fourth = isShort ? 0 : sextet(text[index + 3]);
    // A character that is none makes the number negative.
    if ((first | second | third | fourth) < 0) return undefined;
    const bits = (first << 18) | (second << 12) | (third << 6) | fourth;
    bytes[length++] = bits >> 16;
    if (!isShorter) bytes[length++] = bits >> 8;
    if (!isShort) bytes[length++] = bits;
  }
  return bytes.subarray(0, length);
}

const padding = "=".charCodeAt(0);

/** The six bits of a character; -1 for one that stands for none. */
function sextet(code = 0): number {
  if (code >= 97 && code <= 122) return code - 71;
  if (code >= 65 && code <= 90) return code - 65;
  if (code >= 48 && code <= 57) return code + 4;
  if (code === 43) return 62;
  return code === 47 ? 63 : -1;
}

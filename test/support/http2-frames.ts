/** The bytes of HTTP/2 as a client that keeps no rule of it may send them (RFC 9113). */
export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
};

export const flags = { none: 0, endStream: 1, endHeaders: 4 };

export type Http2Frame = {
  readonly type: number;
  readonly flags?: number;
  readonly stream?: number;
  readonly payload?: Uint8Array;
};

export function http2Frame({ type, flags: bits = 0, stream = 0, payload = new Uint8Array() }: Http2Frame): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(bits, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Headers without compression (RFC 7541, 6.2.2); each name and value has less than 127 bytes. */
export function headerBlock(headers: readonly (readonly [string, string])[]): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value, "latin1")]);
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

export function requestBlock(method: string, path: string, more: readonly (readonly [string, string])[] = []): Buffer {
  return headerBlock([[":method", method], [":scheme", "http"], [":path", path], [":authority", "a"], ...more]);
}

/** A reader of what a server sends: takes the pieces as they come, and answers the frames that each of them ends. */
export function frameReader(): (piece: Uint8Array) => readonly Required<Http2Frame>[] {
  let rest = Buffer.alloc(0);
  return (piece) => {
    rest = Buffer.concat([rest, piece]);
    const frames: Required<Http2Frame>[] = [];
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      const [type, bits, stream] = [rest.readUInt8(3), rest.readUInt8(4), rest.readUInt32BE(5)];
      frames.push({ type, flags: bits, stream, payload: rest.subarray(9, end) });
      rest = rest.subarray(end);
    }
    return frames;
  };
}

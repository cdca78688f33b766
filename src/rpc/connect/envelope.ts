/*
 * The envelope of gRPC, gRPC-Web and Connect's streams: a byte of flags, the length as 32 bits in big-endian order, the
 * data (connectrpc.com/docs/protocol#streaming-request, grpc.io's "Length-Prefixed-Message").
 */

/** Bytes of the flags and the length. */
export const envelopeHeadBytes = 5;

/** The data is compressed as the encoding in the header says. */
export const compressedFlag = 0b0000_0001;
/** The data is JSON that ends a stream of Connect. */
export const endStreamFlag = 0b0000_0010;
/** The data is the trailers of a reply over gRPC-Web. */
export const trailerFlag = 0b1000_0000;

export function envelopeOf(data: Uint8Array, flags = 0): Uint8Array {
  const envelope = Buffer.allocUnsafe(envelopeHeadBytes + data.length);
  envelope[0] = flags;
  envelope.writeUInt32BE(data.length, 1);
  envelope.set(data, envelopeHeadBytes);
  return envelope;
}

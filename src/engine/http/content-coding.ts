import { promisify } from "node:util";
import { brotliDecompress, constants, gunzip, inflate, inflateRaw, zstdDecompress } from "node:zlib";

/**
 * Decodes a content coding (RFC 9110, section 8.4.1) in a thread of the pool of libuv. Rejects with ERR_BUFFER_TOO_LARGE before
 * the output exceeds its limit.
 */
export type Decode = (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Promise<Uint8Array>;

/**
 * The decoder of a coding, by its lower-case name. Undefined for names that IANA's registry does not have, such as `utf-8`,
 * `none` or `aws-chunked`: servers send these with plain data, so the body and the header are left as they are.
 */
export function decoderOf(coding: string): Decode | undefined {
  return decoders.get(coding);
}

/** Whether a coding is in IANA's registry but has no decoder here. */
export function isUndecodable(coding: string): boolean {
  return undecodable.has(coding);
}

const undecodable: ReadonlySet<string> = new Set([
  "aes128gcm",
  "compress",
  "dcb",
  "dcz",
  "exi",
  "pack200-gzip",
  "x-compress",
]);

const inflateZlib: Decode = promisify(inflate);
const inflatePlain: Decode = promisify(inflateRaw);
const unpackZstd = promisify(zstdDecompress);

/** `deflate` means zlib data (section 8.4.1.2), but some servers send raw deflate data, and clients accept both. */
const decodeDeflate: Decode = async (bytes, options) => {
  if (!hasZlibHeader(bytes)) {
    return inflatePlain(bytes, options);
  }
  try {
    return await inflateZlib(bytes, options);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "Z_DATA_ERROR") {
      return inflatePlain(bytes, options);
    }
    throw error;
  }
};

/** RFC 1950, section 2.2: the method is 8, and both bytes as one number are a multiple of 31. */
function hasZlibHeader([method = 0, flags = 0]: Uint8Array): boolean {
  return (method & 0x0f) === 8 && (method * 256 + flags) % 31 === 0;
}

/** Limits the window, and with it the decoder's memory, to 8 MiB (RFC 9659, section 3). */
const zstdParams = { [constants.ZSTD_d_windowLogMax]: 23 };

const decoders: ReadonlyMap<string, Decode> = new Map<string, Decode>([
  ["gzip", promisify(gunzip)],
  ["x-gzip", promisify(gunzip)],
  ["deflate", decodeDeflate],
  ["br", promisify(brotliDecompress)],
  ["zstd", (bytes, options) => unpackZstd(bytes, { ...options, params: zstdParams })],
]);

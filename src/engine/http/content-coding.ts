import { promisify } from "node:util";
import { brotliDecompress, constants, gunzip, inflate, inflateRaw, zstdDecompress } from "node:zlib";

/**
 * Undoes a content coding (RFC 9110, section 8.4.1) away from the main thread, a piece at a time. Rejects with
 * ERR_BUFFER_TOO_LARGE before it has made more bytes than it may.
 */
export type Decode = (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Promise<Uint8Array>;

/**
 * How a coding, named in lower case, is undone. A name that IANA does not have, as `utf-8`, `none` or `aws-chunked`, is
 * left to the author, with its header: servers write such beside plain data.
 */
export function decoderOf(coding: string): Decode | undefined {
  return decoders.get(coding);
}

/** Whether a coding of IANA's registry has no decoder here. */
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

/** Some servers leave out the frame of zlib that the name stands for, which clients read too (section 8.4.1.2). */
const decodeDeflate: Decode = async (bytes, options) => {
  if (!hasZlibHeader(bytes)) return inflatePlain(bytes, options);
  try {
    return await inflateZlib(bytes, options);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "Z_DATA_ERROR") return inflatePlain(bytes, options);
    throw error;
  }
};

/** RFC 1950, section 2.2: the method is deflate, and both bytes as one number are a multiple of 31. */
function hasZlibHeader([method = 0, flags = 0]: Uint8Array): boolean {
  return (method & 0x0f) === 8 && (method * 256 + flags) % 31 === 0;
}

/** A frame says how much memory its decoder takes before any data: at most 8 MiB may be asked for (RFC 9659, section 3). */
const zstdParams = { [constants.ZSTD_d_windowLogMax]: 23 };

const decoders: ReadonlyMap<string, Decode> = new Map<string, Decode>([
  ["gzip", promisify(gunzip)],
  ["x-gzip", promisify(gunzip)],
  ["deflate", decodeDeflate],
  ["br", promisify(brotliDecompress)],
  ["zstd", (bytes, options) => unpackZstd(bytes, { ...options, params: zstdParams })],
]);

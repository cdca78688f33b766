import type { HttpVersion } from "./detect-http-version.ts";

const prefaceBytes = 24;
const frameHeadBytes = 9;
const headersType = 1;

/**
 * How many requests the first bytes of a connection hold, at the least one: over HTTP/2 as many as its frames of headers
 * are (RFC 9113, 4.1). Over HTTP/1.1 few are served at a time, whatever is sent ahead.
 */
export function countRequests(version: HttpVersion, bytes: Buffer): number {
  if (version === "http1") return 1;
  let count = 0;
  for (let at = prefaceBytes; at + frameHeadBytes <= bytes.length; ) {
    if (bytes[at + 3] === headersType) count += 1;
    at += frameHeadBytes + bytes.readUIntBE(at, 3);
  }
  return Math.max(1, count);
}

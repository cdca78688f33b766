import type { RequestHeaders } from "../domain/call.ts";

/** Names that never become part of an event: secrets, and what belongs to the transport. */
const withheld = /^(x-api-key|authorization|cookie|proxy-.*|grpc-.*|connect-.*|x-forwarded-.*)$/;

/** The request headers that an event keeps, in the order they came, up to `bytesMax` bytes of names and values. */
export function eventHeaders(headers: RequestHeaders, bytesMax: number): Readonly<Record<string, string>> {
  const kept: [string, string][] = [];
  let bytes = 0;
  for (const [name, values] of headers) {
    if (withheld.test(name)) continue;
    // Header values reach us byte by byte; what is not UTF-8 is kept readable rather than refused.
    const value = Buffer.from(values.join(", "), "latin1").toString("utf8");
    bytes += name.length + Buffer.byteLength(value);
    if (bytes > bytesMax) break;
    kept.push([name, value]);
  }
  return Object.fromEntries(kept);
}

import type { RequestHeaders } from "../../domain/http/call.ts";
import { chainHeader, chainLength, chainText } from "../../domain/http/call-chain.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";

/** Headers that never become part of an event: secrets, and those of the transport. */
const withheld = new RegExp(
  "^(x-api-key|authorization|cookie|proxy-.*|grpc-.*|connect-.*|x-forwarded-.*|" +
    // Hop-by-hop headers (RFC 9110, section 7.6.1), and those of the framing of one message.
    "host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|http2-settings|content-length|content-encoding|expect)$",
);

/**
 * The request headers that an event keeps, in the order they came, up to a limit of bytes. The call chain is kept in any
 * case. Refuses with CALL_CHAIN_TOO_LONG.
 */
export function eventHeaders(headers: RequestHeaders, limits: Limits): Readonly<Record<string, string>> {
  const { eventHeaderBytesMax: bytesMax } = limits;
  const length = callChainLength(headers, limits);
  const kept: [string, string][] = [];
  let bytes = 0;
  for (const [name, values] of headers) {
    if (withheld.test(name)) {
      continue;
    }
    // Node decodes header values as latin1. A value that is not UTF-8 is kept in a readable form and not refused.
    const value = Buffer.from(values.join(", "), "latin1").toString("utf8");
    bytes += name.length + Buffer.byteLength(value);
    if (bytes > bytesMax) {
      break;
    }
    kept.push([name, value]);
  }
  return { ...Object.fromEntries(kept), ...(length > 0 && { [chainHeader]: chainText(length) }) };
}

/** How many executions led to a request, each of which was called by the one before. Refuses with CALL_CHAIN_TOO_LONG. */
export function callChainLength(headers: RequestHeaders, { callChainMax }: Pick<Limits, "callChainMax">): number {
  const length = chainLength(headers.get(chainHeader)?.join(","));
  if (length <= callChainMax) {
    return length;
  }
  throw new RequestError(
    "CALL_CHAIN_TOO_LONG",
    `More than ${callChainMax} executions led to this call, each of which was called by the one before it. Check whether a workflow calls itself.`,
    { metadata: { limit: "call_chain", value: String(callChainMax) } },
  );
}

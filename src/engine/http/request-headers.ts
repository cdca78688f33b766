import { chainHeader } from "../../domain/http/call-chain.ts";
import { HttpFailure } from "./http-failure.ts";
import type { HeaderPair } from "./http-request.ts";

/**
 * Throws HttpFailure unless the headers can be sent as the author wrote them. Headers are refused and never changed, so that the
 * request is the one in the record. This also prevents request smuggling and header injection. Messages contain no value,
 * because that may be secret.
 */
export function checkRequestHeaders(headers: readonly HeaderPair[]): void {
  let characters = 0;
  for (const [name, value] of headers) {
    characters += name.length + value.length;
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
      throw refused(
        `${JSON.stringify(name.slice(0, nameShownMax))} is not a header name. Use letters, digits and "-".`,
      );
    }
    if (isReserved(name.toLowerCase())) {
      throw reservedHeader(name);
    }
    // RFC 9110, section 5.5. A line end would start another header or another request (CRLF injection).
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) {
      throw refused(`The value of the header "${name}" has a character that a header cannot carry. Encode it.`);
    }
  }
  if (headers.length > headersMax || characters > charactersMax) {
    throw refused(`A request may have ${headersMax} headers and ${charactersMax} characters in them. Send fewer.`);
  }
}

export function reservedHeader(name: string): HttpFailure {
  return refused(`The header "${name}" is set by Flowcall. Remove it from the node.`);
}

/** The headers of a request in undici's flat form, with those that Flowcall adds. */
export function sentHeaders(headers: readonly HeaderPair[], chain: string | undefined): string[] {
  const sent: string[] = [];
  let isNamed = false;
  for (const [name, value] of headers) {
    sent.push(name, value);
    isNamed ||= isHeader(name, "user-agent");
  }
  if (!isNamed) {
    sent.push("user-agent", "Flowcall");
  }
  if (chain !== undefined) {
    sent.push(chainHeader, chain);
  }
  sent.push("accept-encoding", "identity");
  return sent;
}

/** @param lowerCase a name in lower case */
export function isHeader(name: string, lowerCase: string): boolean {
  return name.length === lowerCase.length && name.toLowerCase() === lowerCase;
}

function isReserved(name: string): boolean {
  return reserved.has(name) || name.startsWith("proxy-");
}

/** Headers that decide where a message ends, to whom it goes, or how the connection is used. */
const reserved: ReadonlySet<string> = new Set([
  "accept-encoding",
  "connection",
  "content-length",
  "expect",
  "host",
  "http2-settings",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const headersMax = 100;
const charactersMax = 32 * 1024;
const nameShownMax = 64;

function refused(message: string): HttpFailure {
  return new HttpFailure("HEADER_REFUSED", message);
}

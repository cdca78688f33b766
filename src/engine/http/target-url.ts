import { HttpFailure } from "./http-failure.ts";

/**
 * Parses a URL by the WHATWG standard, once: the client connects to the host of the URL that this returns. Two parsers that
 * disagree would be a way around the SSRF guard. Throws HttpFailure.
 *
 * Control characters are refused, although the standard drops them: one that came from a template is a mistake or an attack,
 * and the request must go to the URL in the record. Messages do not repeat the URL, because its query may hold a key.
 */
export function readTargetUrl(text: string, base?: URL): URL {
  if (text.length > urlCharactersMax) {
    throw new HttpFailure("URL_INVALID", `The URL is longer than ${urlCharactersMax} characters. Shorten it.`);
  }
  if (/\p{Cc}/u.test(text)) {
    throw new HttpFailure("URL_INVALID", "The URL contains a control character. Percent-encode what goes into it.");
  }
  const url = URL.parse(text, base);
  if (url === null) {
    throw new HttpFailure("URL_INVALID", "The URL cannot be read. Write it in full, as https://host/path.");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new HttpFailure("EGRESS_REFUSED", "Only http and https URLs can be called.");
  }
  if (url.username !== "" || url.password !== "") {
    throw new HttpFailure("URL_INVALID", "The URL contains a user name. Send credentials in an Authorization header.");
  }
  // The setter parses the URL again.
  if (text.includes("#")) {
    url.hash = "";
  }
  return url;
}

/** The port of a URL, or the default port of its scheme. */
export function portOf(url: { readonly protocol: string; readonly port: string }): number {
  if (url.port !== "") {
    return Number(url.port);
  }
  return url.protocol === "https:" ? 443 : 80;
}

/** A URL's host in the form in which hosts are compared: an address without brackets, a name without a final dot. */
export function plainHost(hostname: string): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname.replace(/\.$/, "");
}

const urlCharactersMax = 16_384;

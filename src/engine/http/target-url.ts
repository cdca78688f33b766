import { HttpFailure } from "./http-failure.ts";

/**
 * Reads a URL by the WHATWG rules, once: what is dialled is the host of the URL that this returns. Throws HttpFailure.
 *
 * Control characters are refused although the rules drop them: one that got in through a template is a mistake or an
 * attack, and the author should not see another URL called than the one in the record. The messages do not repeat the
 * URL, since its query may hold a key.
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
  url.hash = "";
  return url;
}

/** The port that a URL leads to. */
export function portOf(url: { readonly protocol: string; readonly port: string }): number {
  if (url.port !== "") return Number(url.port);
  return url.protocol === "https:" ? 443 : 80;
}

/** A URL's host as rules compare it: an address without brackets, a name without the dot at its end. */
export function plainHost(hostname: string): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname.replace(/\.$/, "");
}

const urlCharactersMax = 16_384;

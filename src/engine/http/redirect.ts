import type { UnreadAnswer } from "./answer-body.ts";
import { HttpFailure } from "./http-failure.ts";
import type { HeaderPair, Hop, HttpMethod } from "./http-request.ts";
import type { SsrfGuard } from "./ssrf-guard.ts";
import { plainHost, portOf, readTargetUrl } from "./target-url.ts";

/** The target of a redirect, as the server wrote it. Undefined for other answers, and for a redirect with several targets. */
export function locationOf({ status, headers }: UnreadAnswer): string | undefined {
  const location = headers["location"];
  if (!redirectStatuses.has(status) || typeof location !== "string") {
    return undefined;
  }
  // Headers are decoded as Latin-1, but a Location is UTF-8 in practice, as in browsers.
  return Buffer.from(location, "latin1").toString("utf8");
}

export type RedirectOptions = {
  readonly status: number;
  readonly location: string;
  readonly guard: SsrfGuard;
  readonly secretHeaders: ReadonlySet<string>;
};

/**
 * Makes the request that follows a redirect (https://fetch.spec.whatwg.org/#http-redirect-fetch). Secret headers are not sent to
 * another origin than the author's, and a header that was dropped once does not come back. Throws HttpFailure.
 */
export function redirectedHop(hop: Hop, { status, location, guard, secretHeaders }: RedirectOptions): Hop {
  const url = readTargetUrl(location, hop.url);
  if (hop.url.protocol === "https:" && url.protocol === "http:") {
    refuseDowngrade(url, guard);
  }
  const isSecret = (name: string) => credentialHeaders.has(name) || secretHeaders.has(name);
  const isSameOrigin = url.origin === hop.url.origin;
  const kept = isSameOrigin ? hop : { ...hop, headers: without(hop.headers, isSecret) };
  if (!becomesGet(status, hop.method)) {
    return { ...kept, url };
  }
  return { method: "GET", url, headers: without(kept.headers, (name) => name.startsWith("content-")) };
}

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Lower-case names of headers with credentials for one origin. */
const credentialHeaders: ReadonlySet<string> = new Set([
  "api-key",
  "authorization",
  "cookie",
  "idempotency-key",
  "x-api-key",
  "x-auth-token",
]);

function becomesGet(status: number, method: HttpMethod): boolean {
  if (status === 303) {
    return method !== "HEAD" && method !== "GET";
  }
  return (status === 301 || status === 302) && method === "POST";
}

function without(headers: readonly HeaderPair[], isLeftOut: (name: string) => boolean): readonly HeaderPair[] {
  return headers.filter(([name]) => !isLeftOut(name.toLowerCase()));
}

function refuseDowngrade(url: URL, guard: SsrfGuard): void {
  const destination = { host: plainHost(url.hostname), port: portOf(url) };
  if (guard.isListed(destination)) {
    return;
  }
  throw new HttpFailure("EGRESS_REFUSED", "The server redirects from https to http. Call a URL that stays on https.");
}

import type { Reply } from "./answer-body.ts";
import { HttpFailure } from "./http-failure.ts";
import type { HeaderPair, HttpMethod } from "./http-request.ts";
import type { EgressRules } from "./ssrf-guard.ts";
import { plainHost, portOf, readTargetUrl } from "./target-url.ts";

/** One request of a call: the first, or what a redirect made of it. */
export type Hop = {
  readonly method: HttpMethod;
  readonly url: URL;
  readonly headers: readonly HeaderPair[];
  readonly body?: Uint8Array | string;
};

/** Where a reply redirects to, as the server wrote it. A redirect with no or several targets is an answer. */
export function locationOf({ status, headers }: Reply): string | undefined {
  const location = headers["location"];
  if (!redirectStatuses.has(status) || typeof location !== "string") return undefined;
  // Headers are read as Latin-1, but a Location is UTF-8 in practice, as browsers read it.
  return Buffer.from(location, "latin1").toString("utf8");
}

export type RedirectOptions = {
  readonly status: number;
  readonly location: string;
  readonly rules: EgressRules;
  readonly secretHeaders: ReadonlySet<string>;
};

/**
 * The request that follows a redirect (https://fetch.spec.whatwg.org/#http-redirect-fetch). What is secret stays with
 * the origin that the author wrote it for; a header that was dropped once does not come back. Throws HttpFailure.
 */
export function redirectedHop(hop: Hop, { status, location, rules, secretHeaders }: RedirectOptions): Hop {
  const url = readTargetUrl(location, hop.url);
  if (hop.url.protocol === "https:" && url.protocol === "http:") refuseDowngrade(url, rules);
  const isSecret = (name: string) => originBound.has(name) || secretHeaders.has(name);
  const isSameOrigin = url.origin === hop.url.origin;
  const kept = isSameOrigin ? hop : { ...hop, headers: without(hop.headers, isSecret) };
  if (!becomesGet(status, hop.method)) return { ...kept, url };
  return { method: "GET", url, headers: without(kept.headers, (name) => name.startsWith("content-")) };
}

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Lower-case names of headers that speak for the author to one origin. */
const originBound: ReadonlySet<string> = new Set([
  "api-key",
  "authorization",
  "cookie",
  "idempotency-key",
  "x-api-key",
  "x-auth-token",
]);

function becomesGet(status: number, method: HttpMethod): boolean {
  if (status === 303) return method !== "HEAD" && method !== "GET";
  return (status === 301 || status === 302) && method === "POST";
}

function without(headers: readonly HeaderPair[], isLeftOut: (name: string) => boolean): readonly HeaderPair[] {
  return headers.filter(([name]) => !isLeftOut(name.toLowerCase()));
}

function refuseDowngrade(url: URL, rules: EgressRules): void {
  const destination = { host: plainHost(url.hostname), port: portOf(url) };
  if (rules.names(destination)) return;
  throw new HttpFailure("EGRESS_REFUSED", "The server redirects from https to http. Call a URL that stays on https.");
}

import type { HttpExchange, RequestHead } from "../../domain/http/protocol-handler.ts";

/** How long a browser may remember what it was allowed, in seconds; browsers shorten it as they like. */
const maxAgeSeconds = 7_200;

/** What a page may read of a reply, on every protocol. */
const exposed = [
  "content-encoding",
  "etag",
  "grpc-message",
  "grpc-status",
  "grpc-status-details-bin",
  "idempotent-replayed",
  "location",
  "preference-applied",
  "retry-after",
  "x-execution-id",
  "x-execution-status",
  "x-request-id",
].join(", ");

const methods = "GET, HEAD, POST, PUT, PATCH, DELETE";

/**
 * Tells browsers which pages may call (Fetch, 3.2): those of the given origins, each exactly as browsers spell it. It
 * sets headers and refuses nothing, since what a browser withholds from a page any other client may ask for. Callers
 * prove themselves by a header and never by a cookie, so credentials are not allowed.
 */
export class Cors {
  readonly #origins: ReadonlySet<string>;

  constructor(origins: readonly string[]) {
    this.#origins = new Set(origins);
  }

  /** Sets the headers for a request. Answers whether it is a preflight that is answered by them alone. */
  allow({ method, headers }: RequestHead, { response }: HttpExchange): boolean {
    if (this.#origins.size === 0) return false;
    response.appendHeader("vary", "Origin");
    const [origin, ...others] = headers.get("origin") ?? [];
    if (origin === undefined || others.length > 0 || !this.#origins.has(origin)) return false;
    response.setHeader("access-control-allow-origin", origin);
    if (method !== "OPTIONS" || !headers.has("access-control-request-method")) {
      response.setHeader("access-control-expose-headers", exposed);
      return false;
    }
    response.appendHeader("vary", "Access-Control-Request-Headers");
    response.setHeader("access-control-allow-methods", methods);
    response.setHeader("access-control-max-age", String(maxAgeSeconds));
    // Which headers mean something is for the protocol handlers to say; a page of an allowed origin may send any.
    const asked = headers.get("access-control-request-headers")?.join(", ") ?? "";
    if (/^[\w\-, ]+$/.test(asked)) response.setHeader("access-control-allow-headers", asked);
    return true;
  }
}

import type { HttpExchange, RequestHead } from "../../domain/http/protocol-handler.ts";

/** How long a browser may cache the answer to a preflight, in seconds. Browsers have lower limits of their own. */
const maxAgeSeconds = 7_200;

/** The reply headers that a page may read, on every protocol. */
const exposedHeaders = [
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
 * Cross-origin resource sharing (https://fetch.spec.whatwg.org/#http-cors-protocol): tells browsers that pages of the given
 * origins may call, each spelled exactly as browsers spell it. It sets headers and refuses nothing, because any client
 * but a browser may call anyway. Callers authenticate by a header and never by a cookie, so credentials are not allowed.
 */
export class Cors {
  readonly #origins: ReadonlySet<string>;

  constructor(origins: readonly string[]) {
    this.#origins = new Set(origins);
  }

  /** Sets the headers for a request. Returns true for a preflight, whose reply consists of these headers alone. */
  allow({ method, headers }: RequestHead, { response }: HttpExchange): boolean {
    response.appendHeader("vary", "Origin");
    const [origin, ...others] = headers.get("origin") ?? [];
    if (origin === undefined || others.length > 0 || !this.#origins.has(origin)) {
      return false;
    }
    response.setHeader("access-control-allow-origin", origin);
    if (method !== "OPTIONS" || !headers.has("access-control-request-method")) {
      response.setHeader("access-control-expose-headers", exposedHeaders);
      return false;
    }
    response.appendHeader("vary", "Access-Control-Request-Headers");
    response.setHeader("access-control-allow-methods", methods);
    response.setHeader("access-control-max-age", String(maxAgeSeconds));
    // A page of an allowed origin may send any header.
    const requested = headers.get("access-control-request-headers")?.join(", ") ?? "";
    if (/^[\w\-, ]+$/.test(requested)) {
      response.setHeader("access-control-allow-headers", requested);
    }
    return true;
  }
}

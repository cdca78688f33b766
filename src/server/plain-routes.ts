import type { Door, RequestHead, Route } from "../domain/door.ts";
import { RequestError } from "../domain/request-error.ts";
import { errorReply } from "../gateway/error-envelope.ts";
import { type HttpReply, writeReply } from "../gateway/http-reply.ts";

/**
 * What anybody may read: whether the process lives, and whether it can accept calls, which load balancers ask; and some
 * pages, by their paths.
 */
export function createPublicPages(isReady: () => boolean, others: ReadonlyMap<string, () => HttpReply>): Door {
  const pages: ReadonlyMap<string, () => HttpReply> = new Map([
    ...others,
    ["/healthz", () => probeReply(200, "ok")],
    ["/readyz", () => (isReady() ? probeReply(200, "ready") : probeReply(503, "not ready"))],
  ]);
  return {
    match(head) {
      const page = pages.get(head.path);
      return page === undefined ? undefined : createRoute(() => answerPage(head, page));
    },
  };
}

/** The route of a request that no door knows, or whose door failed to say. */
export function createRefusingRoute(error: unknown): Route {
  return createRoute(() => {
    throw error;
  });
}

/** The answer to a browser that asks what it may do, where the headers that the server has set say all. */
export function createEmptyRoute(): Route {
  return createRoute(() => ({ status: 204, headers: {}, body: "" }));
}

function createRoute(reply: () => HttpReply): Route {
  return {
    access: "public",
    protocol: "rest",
    serve: async (exchange, call) => writeReply(exchange, reply(), call),
    refuse: (exchange, call, error) => writeReply(exchange, errorReply(error, call), call),
  };
}

const allow = "GET, HEAD, OPTIONS";

function answerPage({ method, path }: RequestHead, page: () => HttpReply): HttpReply {
  if (method === "OPTIONS") return { status: 204, headers: { allow }, body: "" };
  if (method === "GET" || method === "HEAD") return page();
  throw new RequestError("METHOD_NOT_ALLOWED", `${path} does not take ${method}; it takes ${allow}.`, {
    metadata: { method, path, allow },
  });
}

function probeReply(status: number, word: string): HttpReply {
  return { status, type: "application/json", headers: {}, body: JSON.stringify({ status: word }) };
}

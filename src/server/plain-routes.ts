import type { Door, Exchange, Route } from "../domain/door.ts";
import { reasons } from "../domain/reason.ts";

/** What load balancers ask: whether the process lives, and whether it can accept calls. */
export function createProbes(isReady: () => boolean): Door {
  const healthz = createRoute(async ({ response }) => reply(response, 200, { status: "ok" }));
  const readyz = createRoute(async ({ response }) =>
    isReady() ? reply(response, 200, { status: "ready" }) : reply(response, 503, { status: "not ready" }),
  );
  return {
    match({ method, path }) {
      if (method !== "GET" && method !== "HEAD") {
        return undefined;
      }
      return path === "/healthz" ? healthz : path === "/readyz" ? readyz : undefined;
    },
  };
}

/** The route of a request that no door knows, or whose door failed to say. */
export function createRefusingRoute(error: unknown): Route {
  return createRoute(() => Promise.reject(error));
}

function createRoute(serve: Route["serve"]): Route {
  return {
    access: "public",
    protocol: "rest",
    serve,
    refuse: async ({ response }, { requestId }, { reason, message }) => {
      const { status } = reasons[reason];
      reply(response, status, {
        status_code: status,
        error_code: reason,
        message,
        request_id: requestId,
      });
    },
  };
}

function reply(response: Exchange["response"], status: number, body: object): void {
  response.statusCode = status;
  response.setHeader("content-type", "application/json");
  // A union of two kinds of response; only this form of `end` is common to both.
  response.end(JSON.stringify(body));
}

import type { ProtocolHandler, RequestHead, Route } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import { type Document, writeDocument } from "../../gateway/document.ts";
import { errorReply } from "../../gateway/error-envelope.ts";
import { type HttpReply, writeReply } from "../../gateway/http-reply.ts";

type Readiness = { readonly version: string | undefined; isReady(): boolean; isStopping(): boolean };

/**
 * Serves what needs no key: the liveness and readiness probes for load balancers, and documents by their paths. The root
 * redirects to the API page.
 */
export function createPublicPages(
  readiness: Readiness,
  documents: ReadonlyMap<string, () => Document>,
): ProtocolHandler {
  const probes: ReadonlyMap<string, () => HttpReply> = new Map([
    ["/healthz", () => probeReply(200, { status: "ok", version: readiness.version })],
    ["/readyz", () => readinessReply(readiness)],
    ...(documents.has(apiPage) ? [["/", () => redirectToApiPage] as const] : []),
  ]);
  return {
    only: { paths: new Set([...probes.keys(), ...documents.keys()]) },
    match(head) {
      const probe = probes.get(head.path);
      if (probe !== undefined) {
        return createRoute(() => replyToMethod(head) ?? probe());
      }
      const document = documents.get(head.path);
      return document === undefined ? undefined : createDocumentRoute(head, document);
    },
  };
}

/** The route of a request that no protocol handler matches. */
export function createRefusingRoute(error: unknown): Route {
  return createRoute(() => {
    throw error;
  });
}

/** The route of a CORS preflight: its reply has headers only, which the server has set. */
export function createPreflightRoute(): Route {
  return createRoute(() => ({ status: 204, headers: {}, body: "" }));
}

function createRoute(reply: () => HttpReply): Route {
  return publicRoute(async (exchange, call) => writeReply(exchange, reply(), call));
}

function createDocumentRoute(head: RequestHead, document: () => Document): Route {
  return publicRoute(async (exchange, call) => {
    const reply = replyToMethod(head);
    if (reply === undefined) {
      writeDocument(exchange, document(), call);
    } else {
      await writeReply(exchange, reply, call);
    }
  });
}

function publicRoute(serve: Route["serve"]): Route {
  return {
    access: "public",
    protocol: "rest",
    serve,
    refuse: (exchange, call, error) => writeReply(exchange, errorReply(error, call), call),
  };
}

const allow = "GET, HEAD, OPTIONS";

/** The reply to any method but GET and HEAD; undefined for these two. */
function replyToMethod({ method, path }: RequestHead): HttpReply | undefined {
  if (method === "OPTIONS") {
    return { status: 204, headers: { allow }, body: "" };
  }
  if (method === "GET" || method === "HEAD") {
    return undefined;
  }
  throw new RequestError("METHOD_NOT_ALLOWED", `${path} does not take ${method}; it takes ${allow}.`, {
    metadata: { method, path, allow },
  });
}

const apiPage = "/docs";

/** A browser follows the redirect; a person who uses curl reads the text. */
const redirectToApiPage: HttpReply = {
  status: 302,
  type: "text/plain; charset=utf-8",
  // Relative, because a proxy may serve all this below a path of its own.
  headers: { location: "docs" },
  body: "This is Flowcall. Its API page is at /docs, the OpenAPI document at /openapi.json.\n",
};

/** There is no status for a start, because the port opens when the start is over. */
function readinessReply({ version, isReady, isStopping }: Readiness): HttpReply {
  if (isStopping()) {
    return probeReply(503, { status: "not ready", cause: "the process stops" });
  }
  if (!isReady()) {
    return probeReply(503, { status: "not ready", cause: "the database is not reached" });
  }
  return probeReply(200, { status: "ready", version });
}

function probeReply(
  status: number,
  body: { readonly status: string; readonly cause?: string; readonly version?: string | undefined },
): HttpReply {
  return { status, type: "application/json", headers: {}, body: JSON.stringify(body) };
}

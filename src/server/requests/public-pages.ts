import type { ProtocolHandler, RequestHead, Route } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import { type Document, writeDocument } from "../../gateway/document.ts";
import { errorReply } from "../../gateway/error-envelope.ts";
import { type HttpReply, writeReply } from "../../gateway/http-reply.ts";

/** What the process knows of whether it can accept calls. */
type Readiness = { isReady(): boolean; isStopping(): boolean };

/**
 * What anybody may read: whether the process lives, and whether it can accept calls, which load balancers ask; and some
 * documents, by their paths. The root leads to the page that describes the API.
 */
export function createPublicPages(
  readiness: Readiness,
  documents: ReadonlyMap<string, () => Document>,
): ProtocolHandler {
  const probes: ReadonlyMap<string, () => HttpReply> = new Map([
    ["/healthz", () => probeReply(200, { status: "ok" })],
    ["/readyz", () => readinessReply(readiness)],
    ...(documents.has(apiPage) ? [["/", () => toApiPage] as const] : []),
  ]);
  return {
    match(head) {
      const probe = probes.get(head.path);
      if (probe !== undefined) return createRoute(() => answerPage(head) ?? probe());
      const document = documents.get(head.path);
      return document === undefined ? undefined : createDocumentRoute(head, document);
    },
  };
}

/** The route of a request that no protocol handler knows, or whose handler failed to match it. */
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
  return openRoute(async (exchange, call) => writeReply(exchange, reply(), call));
}

function createDocumentRoute(head: RequestHead, document: () => Document): Route {
  return openRoute(async (exchange, call) => {
    const reply = answerPage(head);
    if (reply === undefined) writeDocument(exchange, document(), call);
    else await writeReply(exchange, reply, call);
  });
}

function openRoute(serve: Route["serve"]): Route {
  return {
    access: "public",
    protocol: "rest",
    serve,
    refuse: (exchange, call, error) => writeReply(exchange, errorReply(error, call), call),
  };
}

const allow = "GET, HEAD, OPTIONS";

/** The answer to a method that does not read the page; undefined for one that does. */
function answerPage({ method, path }: RequestHead): HttpReply | undefined {
  if (method === "OPTIONS") return { status: 204, headers: { allow }, body: "" };
  if (method === "GET" || method === "HEAD") return undefined;
  throw new RequestError("METHOD_NOT_ALLOWED", `${path} does not take ${method}; it takes ${allow}.`, {
    metadata: { method, path, allow },
  });
}

const apiPage = "/docs";

/** Whoever opens the service in a browser finds the page; whoever asks by curl reads where it is. */
const toApiPage: HttpReply = {
  status: 302,
  type: "text/plain; charset=utf-8",
  // Relative, since a proxy may serve all this below a path of its own.
  headers: { location: "docs" },
  body: "This is Flowcall. Its API page is at /docs, the OpenAPI document at /openapi.json.\n",
};

/** The port opens when calls are accepted: who can ask is never told of a start. */
function readinessReply({ isReady, isStopping }: Readiness): HttpReply {
  if (isStopping()) return probeReply(503, { status: "not ready", cause: "the process stops" });
  if (!isReady()) return probeReply(503, { status: "not ready", cause: "the database is not reached" });
  return probeReply(200, { status: "ready" });
}

function probeReply(status: number, said: { readonly status: string; readonly cause?: string }): HttpReply {
  return { status, type: "application/json", headers: {}, body: JSON.stringify(said) };
}

import { createHash, timingSafeEqual } from "node:crypto";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { parse } from "content-type";
import type { Call, RequestHeaders } from "../../domain/http/call.ts";
import type { HttpExchange, ProtocolHandler, RequestHead, Route } from "../../domain/http/protocol-handler.ts";
import { parseJson } from "../../domain/json/json-parse.ts";
import { scanJson } from "../../domain/json/json-scan.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import { errorReply } from "../../gateway/error-envelope.ts";
import { writeReply } from "../../gateway/http-reply.ts";
import { eventHeaders } from "../../rpc/chain/handler-call.ts";
import type { WebhookGrant, WebhookTokens } from "../../scheduler/encryption/webhook-tokens.ts";
import type { NodeResumer } from "../../scheduler/resume/node-resumer.ts";

/** The paths of the URLs that Wait for Webhook nodes have, before their token. */
export const webhookPath = "/api/v1/webhook/";

export type WebhookHandlerOptions = {
  readonly tokens: Pick<WebhookTokens, "read">;
  readonly resume: NodeResumer["resume"];
  /** What a handler's error is for a caller, as the database that is away. */
  readonly refusalOf: (error: unknown) => unknown;
  readonly limits: Limits;
};

/**
 * The protocol handler for services that hold the URL of a waiting node. The token is the only credential, so that its MAC is checked
 * before anything else is looked at, and the reply tells nothing of the execution but its id. Requests with a bad token are
 * limited by address as all that come without a key.
 */
export function createWebhookHandler(options: WebhookHandlerOptions): ProtocolHandler {
  return {
    only: { paths: { has: (path) => path.startsWith(webhookPath) } },
    match: (head) => ({
      access: "public",
      protocol: "rest",
      serve: (exchange, call) => serve(options, head, exchange, call),
      refuse: (exchange, call, error) => writeReply(exchange, errorReply(error, call), call),
    }),
  } satisfies ProtocolHandler & { match: (head: RequestHead) => Route };
}

async function serve(
  { tokens, resume, refusalOf, limits }: WebhookHandlerOptions,
  head: RequestHead,
  exchange: HttpExchange,
  call: Call,
): Promise<void> {
  const grant = tokens.read(head.path.slice(webhookPath.length));
  if (grant === undefined) {
    throw RequestError.of("ROUTE_NOT_FOUND");
  }
  if (head.method !== "POST") {
    throw new RequestError(
      "METHOD_NOT_ALLOWED",
      `The URL of a waiting node does not take ${head.method}; it takes POST.`,
      {
        metadata: { method: head.method, allow: "POST" },
      },
    );
  }
  const readAs = bodyReader(head, limits);
  const body = readAs(await exchange.readBody(limits.payload.bytesMax));
  const resumption = {
    path: grant.path,
    body,
    headers: eventHeaders(head.headers, limits),
    hasHeader: (name: string, value: string) => isEqualText(head.headers.get(name)?.join(", ") ?? "", value),
    signal: call.signal,
  };
  const executionId = await resume(grant, resumption).catch((error: unknown) => {
    throw refusalFor(grant, refusalOf(error));
  });
  const reply = JSON.stringify({ execution_id: executionId, status: "RESUMED" });
  await writeReply(exchange, { status: 200, type: "application/json", headers: {}, body: reply }, call);
}

/** The token was made by this service, so that what is not found was there once. */
function refusalFor({ executionId }: WebhookGrant, error: unknown): unknown {
  return error instanceof RequestError && error.reason === "RESOURCE_NOT_FOUND"
    ? RequestError.of("WAIT_ENDED", { metadata: { execution_id: executionId } })
    : error;
}

/** Chooses by the headers alone how the body is read. Throws RequestError with UNSUPPORTED_MEDIA_TYPE. */
function bodyReader({ headers }: RequestHead, limits: Limits): (bytes: Uint8Array) => JsonValue {
  const type = mediaTypeOf(headers);
  if (type === "application/json" || type?.endsWith("+json") === true) {
    return (bytes) => parseJson(scanJson(bytes, { name: "payload", limits: limits.payload }));
  }
  if (type === "application/x-www-form-urlencoded") {
    return (bytes) => (bytes.length === 0 ? null : formOf(bytes, limits));
  }
  return (bytes) => {
    if (bytes.length > 0) {
      throw new RequestError(
        "UNSUPPORTED_MEDIA_TYPE",
        `The body's content-type is ${type ?? "none"}; send JSON with the header content-type: application/json, a form, or no body.`,
        { metadata: { content_type: type ?? "none" } },
      );
    }
    return null;
  };
}

function mediaTypeOf(headers: RequestHeaders): string | undefined {
  const types = headers.get("content-type") ?? [];
  return types.length === 1 ? parse(types[0] ?? "").type : types.join(", ") || undefined;
}

/** A name that is given several times has all its values. */
function formOf(bytes: Uint8Array, limits: Limits): JsonObject {
  const form: Record<string, string | string[]> = {};
  for (const [name, value] of new URLSearchParams(Buffer.from(bytes).toString("utf8"))) {
    const before = Object.hasOwn(form, name) ? form[name] : undefined;
    const all = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
    Object.defineProperty(form, name, { value: all, enumerable: true, configurable: true, writable: true });
  }
  const text = scanJson(Buffer.from(JSON.stringify(form)), { name: "payload", limits: limits.payload });
  // Written from an object just now.
  return parseJson(text) as JsonObject;
}

/** Compares in constant time, whatever the lengths, so that the time of a refusal tells nothing of a secret. */
function isEqualText(one: string, other: string): boolean {
  return timingSafeEqual(digestOf(one), digestOf(other));
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

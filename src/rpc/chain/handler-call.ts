import { type ExecutionState, statusOf } from "../../domain/execution.ts";
import type { Call, RequestHeaders } from "../../domain/http/call.ts";
import { chainHeader, chainLength, chainText } from "../../domain/http/call-chain.ts";
import { carryText } from "../../domain/json/json-parse.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { Limits } from "../../domain/limits.ts";
import type { AccessScope, Principal } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";

/* Handlers read these from their call beside the request message, or set them on it. */

/** The authenticated caller. The server admits no call without a key, except to public services. */
export function principalOf(call: Call): Principal {
  if (call.principal === undefined) {
    throw new Error("a call without a key reached a handler that needs one");
  }
  return call.principal;
}

/** The caller, with the signal that aborts when nobody waits for the answer any more. */
export function callerOf(call: Call): { readonly principal: Principal; readonly signal: AbortSignal } {
  return { principal: principalOf(call), signal: call.signal };
}

/** The data that the caller has access to. */
export function accessScopeOf(call: Call): AccessScope {
  const { environmentId, workflowIds, linkedAccountIds } = principalOf(call);
  return {
    environmentId,
    ...(workflowIds !== undefined && { workflowIds }),
    ...(linkedAccountIds !== undefined && { linkedAccountIds }),
  };
}

/** Each reply about an execution names its id and status in headers too, since the body may be the workflow's own response. */
export function setExecutionHeaders(call: Call, executionId: string, state: ExecutionState): void {
  call.replyHeaders.set("x-execution-id", executionId);
  call.replyHeaders.set("x-execution-status", state === "COMPLETED" ? state : statusOf(state));
}

/**
 * The share of the caller's deadline that is kept back for the network, within bounds: the deadline began before the
 * connection did, and the answer has to travel back.
 */
const marginShare = 1 / 5;
const marginMsMin = 25;
const marginMsMax = 1_000;

/**
 * How long a call waits for the end of an execution, in milliseconds: the shortest of the server's limit, the wait that the
 * caller asks for in seconds, and the caller's deadline less a margin for the network.
 */
export function waitBudget(
  { deadline }: Pick<Call, "deadline">,
  { seconds, limitMs }: { readonly seconds: number | undefined; readonly limitMs: number },
): number {
  const askedMs = seconds === undefined ? limitMs : Math.min(limitMs, seconds * 1_000);
  if (deadline === undefined) {
    return askedMs;
  }
  const leftMs = deadline - performance.now();
  const marginMs = Math.min(marginMsMax, Math.max(marginMsMin, leftMs * marginShare));
  return Math.max(0, Math.min(askedMs, leftMs - marginMs));
}

/** Headers that never become part of an event: secrets, those of the transport, and those that schedules set. */
const withheld = new RegExp(
  "^(x-api-key|authorization|cookie|proxy-.*|grpc-.*|connect-.*|x-forwarded-.*|x-flowcall-.*|" +
    // Hop-by-hop headers (RFC 9110, section 7.6.1), and those of the framing of one message.
    "host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|http2-settings|content-length|content-encoding|expect)$",
);

/**
 * The request headers that an event keeps, in the order they came, up to a limit of bytes. They carry their JSON text where
 * it is within the limits of a payload. The call chain is kept in any case. Refuses with CALL_CHAIN_TOO_LONG.
 */
export function eventHeaders(headers: RequestHeaders, limits: Limits): Readonly<Record<string, string>> {
  const { eventHeaderBytesMax, payload } = limits;
  const length = headers.has(chainHeader) ? callChainLength(headers, limits) : 0;
  const kept: [string, string][] = [];
  let bytes = 0;
  let isPlain = true;
  for (const [name, values] of headers) {
    if (withheld.test(name)) {
      continue;
    }
    let value = values.join(", ");
    if (!/^[\t\x20-\x7e]*$/.test(value)) {
      // Node decodes header values as latin1. A value that is not UTF-8 is kept in a readable form and not refused.
      value = Buffer.from(value, "latin1").toString("utf8");
      isPlain = false;
    }
    bytes += name.length + (isPlain ? value.length : Buffer.byteLength(value));
    if (bytes > eventHeaderBytesMax) {
      break;
    }
    kept.push([name, value]);
  }
  if (length > 0) {
    kept.push([chainHeader, chainText(length)]);
  }
  const event = Object.fromEntries(kept);
  const text = isPlain ? JSON.stringify(event) : undefined;
  // Other texts are checked, and refused, by whoever writes them.
  if (
    text !== undefined &&
    text.length <= payload.bytesMax &&
    kept.length < Math.min(payload.keysMax, payload.valuesMax)
  ) {
    // Of plain ASCII, one object deep and within the limits, which is what the brand says.
    carryText(event, text as JsonText);
  }
  return event;
}

/** How many executions led to a request, each of which was called by the one before. Refuses with CALL_CHAIN_TOO_LONG. */
export function callChainLength(headers: RequestHeaders, { callChainMax }: Pick<Limits, "callChainMax">): number {
  const length = chainLength(headers.get(chainHeader)?.join(","));
  if (length <= callChainMax) {
    return length;
  }
  throw new RequestError(
    "CALL_CHAIN_TOO_LONG",
    `More than ${callChainMax} executions led to this call, each of which was called by the one before it. Check whether a workflow calls itself.`,
    { metadata: { limit: "call_chain", value: String(callChainMax) } },
  );
}

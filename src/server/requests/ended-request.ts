import type { Logger } from "pino";
import type { Route } from "../../domain/http/protocol-handler.ts";
import type { RequestError } from "../../domain/request-error.ts";
import type { Exchange } from "./http-exchange.ts";

/** A request whose reply was delivered or cut. */
export type EndedRequest = {
  /** Absent where the request had no time to be routed. */
  readonly route: Route | undefined;
  readonly method: string;
  readonly status: number;
  /** Why it was refused, if it was. */
  readonly refusal: RequestError | undefined;
  readonly ms: number;
};

export function endedRequest({ route, head, response, call, startTime }: Exchange): EndedRequest {
  const ms = performance.now() - startTime;
  return { route, method: head.method, status: response.statusCode, refusal: call?.refusal, ms };
}

/** Logs a request with the ids of its caller and of its execution: at `debug`, and at `warn` where the server is to blame. */
export function logRequest(exchange: Exchange, log: Logger): void {
  const { head, requestId, route, call, abort, replyHeaders, response, startTime, ticket } = exchange;
  const { statusCode: status } = response;
  // An error of a workflow concerns its author, and the failure of a probe has been logged where it arose.
  const isServerFault = status >= 500 && !replyHeaders.has("x-execution-status") && route?.access !== "public";
  const level = isServerFault ? "warn" : "debug";
  if (!log.isLevelEnabled(level)) {
    return;
  }
  const { organizationId, environmentId, keyId } = ticket.principal ?? {};
  const line = {
    requestId,
    executionId: replyHeaders.get("x-execution-id"),
    protocol: route?.protocol,
    method: head.method,
    path: head.path,
    status,
    reason: call?.refusal?.reason,
    ms: Math.round(performance.now() - startTime),
    isAborted: abort.signal.aborted,
    organizationId,
    environmentId,
    keyId,
  };
  log[level](line, "request");
}

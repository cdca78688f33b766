import type { Call } from "../../domain/http/call.ts";
import type { AccessScope, Principal } from "../../domain/principal.ts";

/** The authenticated caller. The server admits no call without a key, except to public services. */
export function principalOf(call: Call): Principal {
  if (call.principal === undefined) {
    throw new Error("a call without a key reached a handler that needs one");
  }
  return call.principal;
}

/** Who calls, with the signal that aborts when nobody waits for the answer any more. */
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

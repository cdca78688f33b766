import type { Call } from "../domain/call.ts";
import type { Principal, Reach } from "../domain/principal.ts";

/** Who calls. The server lets no call through without a key, except to methods that name no scope. */
export function principalOf(call: Call): Principal {
  if (call.principal === undefined) throw new Error("a call without a principal reached a handler that needs one");
  return call.principal;
}

/** What the caller may touch. */
export function reachOf(call: Call): Reach {
  const { environmentId, workflowIds, linkedAccountIds } = principalOf(call);
  return {
    environmentId,
    ...(workflowIds !== undefined && { workflowIds }),
    ...(linkedAccountIds !== undefined && { linkedAccountIds }),
  };
}

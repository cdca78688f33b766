import type { Call } from "../../domain/http/call.ts";
import { scopeWord } from "../../domain/keys/api-key.ts";
import type { Principal, Reach } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Scope } from "../../gen/flowcall/v1/options_pb.ts";

/** Who calls. The server lets no call through without a key, except to methods that name no scope. */
export function principalOf(call: Call): Principal {
  if (call.principal === undefined) throw new Error("a call without a principal reached a handler that needs one");
  return call.principal;
}

/** Whose turn it is where the call waits for others: its organisation's, and of that its environment's. */
export function turnOf(call: Call): readonly [string, string] {
  const { organizationId, environmentId } = principalOf(call);
  return [organizationId, environmentId];
}

/** Refuses with SCOPE_MISSING where a field asks for more than the scope that its method needs. */
export function requireScope(call: Call, scope: Scope): void {
  if (principalOf(call).scopes.includes(scope)) return;
  const word = scopeWord(scope);
  throw new RequestError("SCOPE_MISSING", `The API key lacks the scope ${word}.`, { metadata: { scope: word } });
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

import type { Call } from "../../domain/http/call.ts";
import { scopeWord } from "../../domain/keys/api-key.ts";
import type { Principal, Reach } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Scope } from "../../gen/flowcall/v1/options_pb.ts";

/** The authenticated caller. The server admits no call without a key, except to public services. */
export function principalOf(call: Call): Principal {
  if (call.principal === undefined) throw new Error("a call without a key reached a handler that needs one");
  return call.principal;
}

/** The path of the call in a `FairQueue`: its organisation and environment. */
export function turnOf(call: Call): readonly [string, string] {
  const { organizationId, environmentId } = principalOf(call);
  return [organizationId, environmentId];
}

/** Refuses a call whose key lacks a scope that a field of the request needs (SCOPE_MISSING). */
export function requireScope(call: Call, scope: Scope): void {
  if (principalOf(call).scopes.includes(scope)) return;
  const word = scopeWord(scope);
  throw new RequestError("SCOPE_MISSING", `The API key lacks the scope ${word}.`, { metadata: { scope: word } });
}

/** The data that the caller has access to. */
export function reachOf(call: Call): Reach {
  const { environmentId, workflowIds, linkedAccountIds } = principalOf(call);
  return {
    environmentId,
    ...(workflowIds !== undefined && { workflowIds }),
    ...(linkedAccountIds !== undefined && { linkedAccountIds }),
  };
}

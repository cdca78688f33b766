import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { scopeWord } from "../../domain/keys/api-key.ts";
import type { Limits } from "../../domain/limits.ts";
import { PrincipalSchema, PrincipalService } from "../../gen/flowcall/v1/principal_pb.ts";
import type { ApiKeyStore } from "../../storage/tenants/api-key-store.ts";
import { principalOf } from "../chain/handler-call.ts";
import { type Implementation, implement } from "../chain/handler-chain.ts";

export type PrincipalServiceOptions = { readonly apiKeys: ApiKeyStore; readonly limits: Limits };

/** Says who calls. */
export function createPrincipalService({ apiKeys, limits }: PrincipalServiceOptions): Implementation {
  return implement(PrincipalService, {
    getPrincipal: async (_, call) => {
      const { organizationId, environment, environmentId, keyId, scopes, ...restrictions } = principalOf(call);
      const { workflowIds = [], linkedAccountIds = [], expireTime } = restrictions;
      const { name } = await apiKeys.get(environmentId, keyId);
      return create(PrincipalSchema, {
        ...{ organizationId, environment, environmentId, keyId },
        keyName: name,
        scopes: scopes.map(scopeWord),
        workflows: [...workflowIds],
        linkedAccounts: [...linkedAccountIds],
        ...(expireTime && { expireTime: timestampFromDate(expireTime) }),
        limits: {
          payloadBytes: limits.payload.bytesMax,
          payloadValues: limits.payload.valuesMax,
          payloadDepth: limits.payload.depthMax,
          syncWaitMs: limits.syncWaitMs,
        },
      });
    },
  });
}

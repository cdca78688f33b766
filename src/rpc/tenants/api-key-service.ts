import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { fieldsRefused } from "../../domain/json/violations.ts";
import { type ApiKeyRecord, keyTextOf, scopeWord, scopeWords } from "../../domain/keys/api-key.ts";
import type { EnvironmentKind, Principal } from "../../domain/principal.ts";
import { type FieldViolation, RequestError } from "../../domain/request-error.ts";
import {
  ApiKeySchema,
  ApiKeyService,
  type CreateApiKeyRequest,
  CreateApiKeyResponseSchema,
  ListApiKeysResponseSchema,
  RotateApiKeyResponseSchema,
} from "../../gen/flowcall/v1/api_key_pb.ts";
import type { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import type { ApiKeyStore } from "../../storage/tenants/api-key-store.ts";
import type { LinkedAccountStore } from "../../storage/tenants/linked-account-store.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import { type Implementation, implement } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { principalOf } from "../chain/principal-of.ts";

export type ApiKeyServiceOptions = {
  readonly apiKeys: ApiKeyStore;
  readonly workflows: WorkflowStore;
  readonly linkedAccounts: LinkedAccountStore;
  readonly newKey: (environment: EnvironmentKind) => string;
  /** Told of each key of which a text has ended, or will before long. */
  readonly onEnded: (keyId: string) => void;
};

/** Making, showing and ending API keys. */
export function createApiKeyService(options: ApiKeyServiceOptions): Implementation {
  const { apiKeys, workflows, linkedAccounts, newKey, onEnded } = options;
  /** The ids of all that a key is to be restricted to; refuses what is not there, all of it at once. */
  const restrictionsOf = async (request: CreateApiKeyRequest, { environmentId }: Principal) => {
    const violations: FieldViolation[] = [];
    const found = async (field: string, find: Promise<string>): Promise<string> => {
      try {
        return await find;
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        violations.push({ field, description: error.message });
        return "";
      }
    };
    const workflowIds: string[] = [];
    for (const [index, workflow] of request.workflows.entries()) {
      const id = workflows.find({ environmentId }, { workflow }).then((record) => record.id);
      workflowIds.push(await found(`workflows[${index}]`, id));
    }
    const linkedAccountIds: string[] = [];
    for (const [index, account] of request.linkedAccounts.entries()) {
      const id = linkedAccounts.get({ environmentId }, account).then((record) => record.accountId);
      linkedAccountIds.push(await found(`linked_accounts[${index}]`, id));
    }
    const isRestricted = workflowIds.length + linkedAccountIds.length > 0;
    if (isRestricted && request.scopes.some((scope) => scope === "author" || scope === "admin")) {
      violations.push({ field: "scopes", description: "may be execute and read alone where the key is restricted" });
    }
    if (violations.length > 0) throw fieldsRefused(violations);
    return {
      ...(workflowIds.length > 0 && { workflowIds }),
      ...(linkedAccountIds.length > 0 && { linkedAccountIds }),
    };
  };

  return implement(ApiKeyService, {
    createApiKey: async (request, call) => {
      const maker = principalOf(call);
      const expireTime = request.expireTime === undefined ? maker.expireTime : timestampDate(request.expireTime);
      const restrictions = await restrictionsOf(request, maker);
      const key = newKey(maker.environment);
      const record = await apiKeys.create(maker, {
        ...keyTextOf(key),
        ...restrictions,
        name: request.name,
        scopes: scopesOf(request.scopes),
        ...(expireTime !== undefined && { expireTime }),
      });
      return create(CreateApiKeyResponseSchema, { apiKey: keyMessage(record), key });
    },

    listApiKeys: async (request, call) => {
      const page = await apiKeys.list(principalOf(call).environmentId, pageOf(request));
      return create(ListApiKeysResponseSchema, {
        apiKeys: page.apiKeys.map(keyMessage),
        ...nextOf(page),
      });
    },

    getApiKey: async ({ apiKeyId }, call) => keyMessage(await apiKeys.get(principalOf(call).environmentId, apiKeyId)),

    rotateApiKey: async ({ apiKeyId, overlapSeconds = 0 }, call) => {
      const maker = principalOf(call);
      const key = newKey(maker.environment);
      const record = await apiKeys.rotate(maker, { id: apiKeyId, ...keyTextOf(key), overlapSeconds });
      onEnded(apiKeyId);
      return create(RotateApiKeyResponseSchema, { apiKey: keyMessage(record), key });
    },

    revokeApiKey: async ({ apiKeyId }, call) => {
      const record = await apiKeys.revoke(principalOf(call), apiKeyId);
      onEnded(apiKeyId);
      return keyMessage(record);
    },
  });
}

/** Checked to be words of the table by the proto's own rule. */
function scopesOf(words: readonly string[]): readonly Scope[] {
  return Object.entries(scopeWords).flatMap(([word, scope]) => (words.includes(word) ? [scope] : []));
}

function keyMessage(record: ApiKeyRecord) {
  const { id, name, prefix, scopes, workflowIds = [], linkedAccountIds = [] } = record;
  const { createTime, expireTime, revokeTime, previousExpireTime } = record;
  return create(ApiKeySchema, {
    id,
    name,
    prefix,
    scopes: scopes.map(scopeWord),
    workflows: [...workflowIds],
    linkedAccounts: [...linkedAccountIds],
    createTime: timestampFromDate(createTime),
    ...(expireTime && { expireTime: timestampFromDate(expireTime) }),
    ...(revokeTime && { revokeTime: timestampFromDate(revokeTime) }),
    ...(previousExpireTime && { overlapEndTime: timestampFromDate(previousExpireTime) }),
  });
}

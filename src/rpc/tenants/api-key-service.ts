import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ApiKeys } from "../../authoring/api-keys.ts";
import type { Call } from "../../domain/http/call.ts";
import { type ApiKeyRecord, scopeWord, scopeWords } from "../../domain/keys/api-key.ts";
import {
  ApiKeySchema,
  ApiKeyService,
  type CreateApiKeyRequest,
  CreateApiKeyResponseSchema,
  type GetApiKeyRequest,
  type ListApiKeysRequest,
  ListApiKeysResponseSchema,
  type RevokeApiKeyRequest,
  type RotateApiKeyRequest,
  RotateApiKeyResponseSchema,
} from "../../gen/flowcall/v1/api_key_pb.ts";
import type { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import type { ApiKeyStore } from "../../storage/tenants/api-key-store.ts";
import { principalOf } from "../chain/handler-call.ts";
import { type Implementation, implement, type ServiceHandlers } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";

export type ApiKeyServiceOptions = { readonly stores: { readonly apiKeys: ApiKeyStore }; readonly apiKeys: ApiKeys };

/** Creating, listing, rotating and revoking API keys. */
export function createApiKeyService(options: ApiKeyServiceOptions): Implementation {
  return implement(ApiKeyService, new ApiKeyHandlers(options));
}

class ApiKeyHandlers implements ServiceHandlers<typeof ApiKeyService> {
  readonly #options: ApiKeyServiceOptions;

  constructor(options: ApiKeyServiceOptions) {
    this.#options = options;
  }

  async createApiKey(request: CreateApiKeyRequest, call: Call) {
    const { name, scopes, workflows, linkedAccounts, expireTime } = request;
    const { record, key } = await this.#options.apiKeys.create(principalOf(call), {
      name,
      scopes: scopesOf(scopes),
      workflows,
      linkedAccounts,
      ...(expireTime !== undefined && { expireTime: timestampDate(expireTime) }),
    });
    return create(CreateApiKeyResponseSchema, { apiKey: keyMessage(record), key });
  }

  async listApiKeys(request: ListApiKeysRequest, call: Call) {
    const page = await this.#options.stores.apiKeys.list(principalOf(call).environmentId, pageOf(request));
    return create(ListApiKeysResponseSchema, { apiKeys: page.apiKeys.map(keyMessage), ...nextOf(page) });
  }

  async getApiKey({ apiKeyId }: GetApiKeyRequest, call: Call) {
    return keyMessage(await this.#options.stores.apiKeys.get(principalOf(call).environmentId, apiKeyId));
  }

  async rotateApiKey({ apiKeyId, overlapSeconds = 0 }: RotateApiKeyRequest, call: Call) {
    const { record, key } = await this.#options.apiKeys.rotate(principalOf(call), apiKeyId, overlapSeconds);
    return create(RotateApiKeyResponseSchema, { apiKey: keyMessage(record), key });
  }

  async revokeApiKey({ apiKeyId }: RevokeApiKeyRequest, call: Call) {
    return keyMessage(await this.#options.apiKeys.revoke(principalOf(call), apiKeyId));
  }
}

/** The scopes of words that the proto's own rule has checked to be known. */
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

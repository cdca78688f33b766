import { create, type JsonObject } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Call } from "../../domain/http/call.ts";
import { checkJson } from "../../domain/json/json-check.ts";
import type { Limits } from "../../domain/limits.ts";
import {
  type DeleteLinkedAccountRequest,
  DeleteLinkedAccountResponseSchema,
  type GetLinkedAccountRequest,
  LinkedAccountSchema,
  LinkedAccountService,
  type ListLinkedAccountsRequest,
  ListLinkedAccountsResponseSchema,
  type PutLinkedAccountRequest,
} from "../../gen/flowcall/v1/linked_account_pb.ts";
import type { LinkedAccountRecord, LinkedAccountStore } from "../../storage/tenants/linked-account-store.ts";
import { principalOf } from "../chain/handler-call.ts";
import { type Implementation, implement, type ServiceHandlers } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";

export type LinkedAccountServiceOptions = { readonly linkedAccounts: LinkedAccountStore; readonly limits: Limits };

/** Writing and looking up linked accounts. */
export function createLinkedAccountService(options: LinkedAccountServiceOptions): Implementation {
  return implement(LinkedAccountService, new LinkedAccountHandlers(options));
}

class LinkedAccountHandlers implements ServiceHandlers<typeof LinkedAccountService> {
  readonly #options: LinkedAccountServiceOptions;

  constructor(options: LinkedAccountServiceOptions) {
    this.#options = options;
  }

  async putLinkedAccount(request: PutLinkedAccountRequest, call: Call) {
    const { accountId, name, attributes = {} } = request;
    const { linkedAccounts, limits } = this.#options;
    const rules = { name: "attributes", limits: limits.settings, root: "object" } as const;
    const record = await linkedAccounts.put(principalOf(call), {
      accountId,
      attributes: checkJson(attributes, rules),
      ...(name !== undefined && { name }),
      ...expectedOf(request),
    });
    return accountMessage(record, attributes);
  }

  async listLinkedAccounts(request: ListLinkedAccountsRequest, call: Call) {
    const page = await this.#options.linkedAccounts.list(principalOf(call), pageOf(request));
    return create(ListLinkedAccountsResponseSchema, {
      linkedAccounts: page.linkedAccounts.map((account) => accountMessage(account)),
      ...nextOf(page),
    });
  }

  async getLinkedAccount({ accountId }: GetLinkedAccountRequest, call: Call) {
    const { attributes, ...record } = await this.#options.linkedAccounts.get(principalOf(call), accountId);
    // The column holds the text of an object.
    return accountMessage(record, JSON.parse(attributes) as JsonObject);
  }

  async deleteLinkedAccount({ accountId }: DeleteLinkedAccountRequest, call: Call) {
    await this.#options.linkedAccounts.delete(principalOf(call), accountId);
    return create(DeleteLinkedAccountResponseSchema);
  }
}

function accountMessage(record: LinkedAccountRecord, attributes?: JsonObject) {
  const { accountId, name, revision, createTime, updateTime } = record;
  return create(LinkedAccountSchema, {
    accountId,
    ...(name !== undefined && { name }),
    ...(attributes !== undefined && { attributes }),
    etag: etagOf(revision),
    createTime: timestampFromDate(createTime),
    updateTime: timestampFromDate(updateTime),
  });
}

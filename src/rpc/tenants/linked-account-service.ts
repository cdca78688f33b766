import { create, type JsonObject } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { checkJson } from "../../domain/json/json-check.ts";
import type { Limits } from "../../domain/limits.ts";
import {
  DeleteLinkedAccountResponseSchema,
  LinkedAccountSchema,
  LinkedAccountService,
  ListLinkedAccountsResponseSchema,
} from "../../gen/flowcall/v1/linked_account_pb.ts";
import type { LinkedAccountRecord, LinkedAccountStore } from "../../storage/tenants/linked-account-store.ts";
import { type Implementation, implement } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { principalOf, reachOf } from "../chain/principal-of.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";

export type LinkedAccountServiceOptions = { readonly linkedAccounts: LinkedAccountStore; readonly limits: Limits };

/** Writing and looking up linked accounts. */
export function createLinkedAccountService({ linkedAccounts, limits }: LinkedAccountServiceOptions): Implementation {
  return implement(LinkedAccountService, {
    putLinkedAccount: async ({ accountId, name, attributes = {}, etag }, call) => {
      const rules = { name: "attributes", limits: limits.settings, root: "object" } as const;
      const record = await linkedAccounts.put(principalOf(call), {
        accountId,
        attributes: checkJson(attributes, rules),
        ...(name !== undefined && { name }),
        ...expectedOf({ etag }),
      });
      return accountMessage(record, attributes);
    },

    listLinkedAccounts: async (request, call) => {
      const page = await linkedAccounts.list(reachOf(call), pageOf(request));
      return create(ListLinkedAccountsResponseSchema, {
        linkedAccounts: page.linkedAccounts.map((account) => accountMessage(account)),
        ...nextOf(page),
      });
    },

    getLinkedAccount: async ({ accountId }, call) => {
      const { attributes, ...record } = await linkedAccounts.get(reachOf(call), accountId);
      // Kept as an object.
      return accountMessage(record, JSON.parse(attributes) as JsonObject);
    },

    deleteLinkedAccount: async ({ accountId }, call) => {
      await linkedAccounts.delete(principalOf(call), accountId);
      return create(DeleteLinkedAccountResponseSchema);
    },
  });
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

import { fieldsRefused } from "../domain/json/violations.ts";
import { type ApiKeyRecord, keyTextOf } from "../domain/keys/api-key.ts";
import type { AccessScope, EnvironmentKind, Principal } from "../domain/principal.ts";
import { type FieldViolation, RequestError } from "../domain/request-error.ts";
import { Scope } from "../gen/flowcall/v1/options_pb.ts";
import type { ApiKeyStore } from "../storage/tenants/api-key-store.ts";
import type { LinkedAccountStore } from "../storage/tenants/linked-account-store.ts";
import type { WorkflowStore } from "../storage/workflows/workflow-store.ts";

export type ApiKeysOptions = {
  readonly apiKeys: ApiKeyStore;
  readonly workflows: WorkflowStore;
  readonly linkedAccounts: LinkedAccountStore;
  readonly newKey: (environment: EnvironmentKind) => string;
  /** Called with each key of which a text has ended, or will before long: nobody may remember it as valid. */
  readonly onEnded: (keyId: string) => void;
};

export type NewKey = {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Ids or aliases of the workflows that the key is restricted to; all where it is empty. */
  readonly workflows: readonly string[];
  readonly linkedAccounts: readonly string[];
  /** As long as the maker's key where it is absent. */
  readonly expireTime?: Date;
};

/** A key with its text, which is shown this once: its hash alone is kept. */
export type ShownKey = { readonly record: ApiKeyRecord; readonly key: string };

/** Makes API keys and ends them. */
export class ApiKeys {
  readonly #options: ApiKeysOptions;

  constructor(options: ApiKeysOptions) {
    this.#options = options;
  }

  /** Refuses with VALIDATION_ERROR a restriction to what is not there, all of it at once; else as the store does. */
  async create(maker: Principal, { name, scopes, expireTime = maker.expireTime, ...key }: NewKey): Promise<ShownKey> {
    const restrictions = await this.#restrictionsOf(maker, { ...key, scopes });
    const text = this.#options.newKey(maker.environment);
    const record = await this.#options.apiKeys.create(maker, {
      ...keyTextOf(text),
      ...restrictions,
      name,
      scopes,
      ...(expireTime !== undefined && { expireTime }),
    });
    return { record, key: text };
  }

  /** Gives a key a new text; the old one stays valid for a while. */
  async rotate(maker: Principal, id: string, overlapSeconds: number): Promise<ShownKey> {
    const { apiKeys, newKey, onEnded } = this.#options;
    const text = newKey(maker.environment);
    const record = await apiKeys.rotate(maker, { id, ...keyTextOf(text), overlapSeconds });
    onEnded(id);
    return { record, key: text };
  }

  async revoke(maker: Principal, id: string): Promise<ApiKeyRecord> {
    const { apiKeys, onEnded } = this.#options;
    const record = await apiKeys.revoke(maker, id);
    onEnded(id);
    return record;
  }

  /** The ids of all that a key is to be restricted to. */
  async #restrictionsOf(
    { environmentId }: Principal,
    { workflows, linkedAccounts, scopes }: Pick<NewKey, "workflows" | "linkedAccounts" | "scopes">,
  ): Promise<Omit<AccessScope, "environmentId">> {
    const stores = this.#options;
    const references = workflows.map((workflow) => ({ workflow }));
    const violations: FieldViolation[] = [];
    const idsOf = <Found>(field: string, found: readonly (Found | RequestError)[], idOf: (found: Found) => string) =>
      found.map((one, index) => {
        if (!(one instanceof RequestError)) {
          return idOf(one);
        }
        violations.push({ field: `${field}[${index}]`, description: one.message });
        return "";
      });
    const workflowIds = idsOf(
      "workflows",
      await stores.workflows.findMany({ environmentId }, references),
      ({ id }) => id,
    );
    const accounts = await stores.linkedAccounts.findMany({ environmentId }, linkedAccounts);
    const linkedAccountIds = idsOf("linked_accounts", accounts, ({ accountId }) => accountId);
    const isRestricted = workflowIds.length + linkedAccountIds.length > 0;
    if (isRestricted && scopes.some((scope) => scope === Scope.AUTHOR || scope === Scope.ADMIN)) {
      violations.push({ field: "scopes", description: "may be execute and read alone where the key is restricted" });
    }
    if (violations.length > 0) {
      throw fieldsRefused(violations);
    }
    return {
      ...(workflowIds.length > 0 && { workflowIds }),
      ...(linkedAccountIds.length > 0 && { linkedAccountIds }),
    };
  }
}

import { checkJson } from "../domain/json/json-check.ts";
import { jsonPath } from "../domain/json/json-refusal.ts";
import { fieldsRefused } from "../domain/json/violations.ts";
import type { Limits } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";
import { parseApiText } from "../engine/secrets/api-declaration.ts";
import { parseApi, plainNamesOf } from "../engine/secrets/api-rules.ts";
import { secretCharsMin } from "../engine/secrets/redactor.ts";
import type { ConnectionKey, ConnectionRecord, ConnectionStore, Sealed } from "../storage/tenants/connection-store.ts";
import type { IntegrationStore } from "../storage/tenants/integration-store.ts";
import { hintOf } from "./secret-hint.ts";

export type Credentials = Readonly<Record<string, string>>;

export type ConnectionsOptions = {
  readonly connections: ConnectionStore;
  readonly integrations: Pick<IntegrationStore, "get">;
  /** Encrypts credentials for one connection: they open for no other. Refuses with ENCRYPTION_KEYS_MISSING. */
  readonly seal: (owner: ConnectionKey & { readonly environmentId: string }, credentials: Credentials) => Sealed;
  readonly limits: Limits;
};

export type NewConnection = ConnectionKey & {
  readonly credentials: Credentials;
  readonly expectedRevisions?: readonly number[];
};

/** Takes credentials. They are encrypted before they are stored, and are never shown again. */
export class Connections {
  readonly #options: ConnectionsOptions;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  async put(principal: Principal, { credentials, ...connection }: NewConnection): Promise<ConnectionRecord> {
    const { connections, seal, limits } = this.#options;
    checkJson(credentials, { name: "credentials", limits: limits.settings });
    const { environmentId } = principal;
    const { accountId, slug } = connection;
    await this.#checkLengths(credentials, { environmentId, slug });
    const hints = Object.entries(credentials).map(([name, value]) => [name, hintOf(value)] as const);
    return await connections.put(principal, {
      ...connection,
      ...seal({ environmentId, accountId, slug }, credentials),
      hints: Object.fromEntries(hints),
    });
  }

  /** Refuses with VALIDATION_ERROR secrets that could not be told from other texts in what nodes give. */
  async #checkLengths(credentials: Credentials, { environmentId, slug }: IntegrationKey): Promise<void> {
    const short = Object.keys(credentials).filter((name) => (credentials[name] ?? "").trim().length < secretCharsMin);
    if (short.length === 0) {
      return;
    }
    const { api } = await this.#options.integrations.get(environmentId, slug);
    const plain = plainNamesOf(parseApi(parseApiText(api)));
    const refused = short.filter((name) => !plain.includes(name));
    if (refused.length > 0) {
      const description =
        `has fewer than ${secretCharsMin} characters. Only what the integration has in its base_url or as a user name, and ` +
        "nowhere else, may be shorter";
      throw fieldsRefused(refused.map((name) => ({ field: jsonPath("credentials", [name]), description })));
    }
  }
}

type IntegrationKey = { readonly environmentId: string; readonly slug: string };

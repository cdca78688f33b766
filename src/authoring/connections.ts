import { checkJson } from "../domain/json/json-check.ts";
import type { Limits } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";
import type { ConnectionKey, ConnectionRecord, ConnectionStore, Sealed } from "../storage/tenants/connection-store.ts";

export type Credentials = Readonly<Record<string, string>>;

export type ConnectionsOptions = {
  readonly connections: ConnectionStore;
  /** Encrypts credentials for one connection: they open for no other. Refuses with ENCRYPTION_KEYS_MISSING. */
  readonly seal: (owner: ConnectionKey & { readonly environmentId: string }, credentials: Credentials) => Sealed;
  readonly limits: Limits;
};

export type NewConnection = ConnectionKey & {
  readonly credentials: Credentials;
  readonly expectedRevisions?: readonly number[];
};

/** How long a credential must be for its end to give nothing away, and how many characters of the end are shown then. */
const hintedMin = 20;
const hintLength = 4;

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
    const hints = Object.entries(credentials).map(([name, value]) => [name, hintOf(value)] as const);
    return await connections.put(principal, {
      ...connection,
      ...seal({ environmentId, accountId, slug }, credentials),
      hints: Object.fromEntries(hints),
    });
  }
}

function hintOf(value: string): string {
  return value.length < hintedMin ? "" : value.slice(-hintLength);
}

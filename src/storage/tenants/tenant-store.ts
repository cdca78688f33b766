import type { JsonObject } from "@bufbuild/protobuf";
import { type Kysely, sql } from "kysely";
import { newId } from "../../domain/id.ts";
import type { KeyText } from "../../domain/keys/api-key.ts";
import type { EnvironmentKind, Principal } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import type { Tables } from "../postgres/tables.ts";
import { recordChange } from "./record-change.ts";

/** A linked account: workflows run for it. */
export type LinkedAccount = { readonly id: string; readonly name?: string; readonly attributes: JsonObject };

export type NewOrganization = {
  readonly organizationId: string;
  /** Ids by kind. */
  readonly environments: Readonly<Record<EnvironmentKind, string>>;
};

export type Organization = {
  readonly id: string;
  readonly name: string;
  readonly createTime: Date;
  /** Ids by kind. */
  readonly environments: Readonly<Record<EnvironmentKind, string>>;
};

export type NewApiKey = KeyText & {
  readonly environmentId: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
};

/** The first organisation. Its integrations and accounts are created in both of its environments. */
export type Founding = {
  readonly name: string;
  readonly keys: readonly (Omit<NewApiKey, "environmentId"> & { readonly environment: EnvironmentKind })[];
  readonly integrations: readonly { readonly slug: string; readonly name: string }[];
  readonly linkedAccounts: readonly {
    readonly accountId: string;
    readonly name: string;
    readonly attributes: JsonObject;
  }[];
};

/** Tenants: organisations with their environments, and the keys, integrations and accounts that a set-up gives them. */
export class TenantStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async isEmpty(): Promise<boolean> {
    const first = await this.#db.selectFrom("organization").select("id").limit(1).executeTakeFirst();
    return first === undefined;
  }

  /** Creates the first organisation in one transaction. False: there is one already. */
  async found({ name, keys, integrations, linkedAccounts }: Founding): Promise<boolean> {
    return await this.#db.transaction().execute(async (transaction) => {
      // The lock is held until the end of the transaction: a second process finds what the first one created.
      await sql`select pg_advisory_xact_lock(hashtext('flowcall'), hashtext('found'))`.execute(transaction);
      const tenants = new TenantStore(transaction);
      if (!(await tenants.isEmpty())) {
        return false;
      }
      const { environments } = await tenants.createOrganization({ name });
      for (const { environment, ...key } of keys) {
        await tenants.createApiKey({ environmentId: environments[environment], ...key });
      }
      for (const environmentId of Object.values(environments)) {
        for (const integration of integrations) {
          await tenants.putIntegration(environmentId, integration);
        }
        for (const account of linkedAccounts) {
          await tenants.putLinkedAccount(environmentId, account);
        }
      }
      return true;
    });
  }

  /** The environments of the organisations with this name. */
  async listEnvironments(organizationName: string): Promise<readonly Omit<Principal, "keyId" | "scopes">[]> {
    return await this.#db
      .selectFrom("environment")
      .innerJoin("organization", "organization.id", "environment.organization_id")
      .select([
        "organization.id as organizationId",
        "environment.id as environmentId",
        "environment.kind as environment",
      ])
      .where("organization.name", "=", organizationName)
      .orderBy("environment.kind")
      .execute();
  }

  /** All organisations with their environments, oldest first. */
  async listOrganizations(): Promise<readonly Organization[]> {
    const rows = await this.#db
      .selectFrom("organization")
      .innerJoin("environment as test", (join) =>
        join.onRef("test.organization_id", "=", "organization.id").on("test.kind", "=", "test"),
      )
      .innerJoin("environment as production", (join) =>
        join.onRef("production.organization_id", "=", "organization.id").on("production.kind", "=", "production"),
      )
      .select([
        "organization.id",
        "organization.name",
        "organization.create_time",
        "test.id as test",
        "production.id as production",
      ])
      .orderBy("organization.create_time")
      .orderBy("organization.id")
      .execute();
    return rows.map(({ id, name, create_time, test, production }) => ({
      id,
      name,
      createTime: create_time,
      environments: { test, production },
    }));
  }

  /** Creates a further organisation and records that in both of its environments. Answers its id, or undefined where the name is taken. */
  async addOrganization(name: string, actorId: string): Promise<string | undefined> {
    return await this.#db.transaction().execute(async (transaction) => {
      await sql`select pg_advisory_xact_lock(hashtext('flowcall'), hashtext('found'))`.execute(transaction);
      const tenants = new TenantStore(transaction);
      if ((await tenants.listEnvironments(name)).length > 0) {
        return undefined;
      }
      const { organizationId, environments } = await tenants.createOrganization({ name });
      for (const environmentId of Object.values(environments)) {
        const change = { action: "CREATE", resource: `organization/${organizationId}` } as const;
        await recordChange(transaction, { environmentId, keyId: actorId }, change);
      }
      return organizationId;
    });
  }

  /** Creates an organisation with its two environments. */
  async createOrganization(organization: { readonly name: string }): Promise<NewOrganization> {
    const organizationId = newId();
    const environments = { test: newId(), production: newId() };
    await this.#db
      .with("created", (query) => query.insertInto("organization").values({ id: organizationId, ...organization }))
      .insertInto("environment")
      .values([
        { id: environments.test, organization_id: organizationId, kind: "test" },
        { id: environments.production, organization_id: organizationId, kind: "production" },
      ])
      .execute();
    return { organizationId, environments };
  }

  /** Creates or renames an integration. */
  async putIntegration(
    environmentId: string,
    { slug, name }: { readonly slug: string; readonly name: string },
  ): Promise<void> {
    await this.#db
      .insertInto("integration")
      .values({ environment_id: environmentId, slug, name })
      .onConflict((conflict) => conflict.columns(["environment_id", "slug"]).doUpdateSet({ name }))
      .execute();
  }

  /** Creates or replaces a linked account. */
  async putLinkedAccount(
    environmentId: string,
    account: { readonly accountId: string; readonly name?: string; readonly attributes?: JsonObject },
  ): Promise<void> {
    const content = { name: account.name ?? null, attributes: JSON.stringify(account.attributes ?? {}) };
    await this.#db
      .insertInto("linked_account")
      .values({ environment_id: environmentId, account_id: account.accountId, ...content })
      .onConflict((conflict) => conflict.columns(["environment_id", "account_id"]).doUpdateSet(content))
      .execute();
  }

  /** Stores the hash of a key; answers the key's id. */
  async createApiKey({ environmentId, ...key }: NewApiKey): Promise<string> {
    const id = newId();
    await this.#db
      .insertInto("api_key")
      .values({ id, environment_id: environmentId, ...key })
      .execute();
    return id;
  }
}

export function toLinkedAccount(row: {
  readonly account_id: string;
  readonly name: string | null;
  readonly attributes: string;
}): LinkedAccount {
  return {
    id: row.account_id,
    ...(row.name !== null && { name: row.name }),
    // It was written from an object.
    attributes: JSON.parse(row.attributes) as JsonObject,
  };
}

/** The refusal of a call whose account does not exist or is outside the scope of its key. */
export function invalidAccount(linkedAccountId: string): RequestError {
  return new RequestError(
    "INVALID_LINKED_ACCOUNT_ID",
    `There is no linked account "${linkedAccountId}". Create it first, or check the id.`,
    {
      metadata: { linked_account_id: linkedAccountId },
    },
  );
}

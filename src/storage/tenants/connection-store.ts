import type { Kysely, Selectable } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import type { AccessScope } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import { isWithin } from "../postgres/access-scope.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { nameTokenOf, parseNameToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import { resourceOf as accountResource } from "./linked-account-store.ts";
import { deleteRecorded, putAccountSetting } from "./recorded-statements.ts";

export type ConnectionKey = { readonly accountId: string; readonly slug: string };

/** Encrypted credentials, and the name of the master key that encrypted them. */
export type Sealed = { readonly sealed: string; readonly sealedBy: string };

/** A connection without its credentials. `revision` counts its changes. */
export type ConnectionRecord = ConnectionKey & {
  /** The last characters of each credential, by name; an empty text where they are not shown. */
  readonly hints: Readonly<Record<string, string>>;
  readonly revision: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

export type SealedConnection = ConnectionKey & Sealed & { readonly environmentId: string };

/** A connection as an execution asks for it. */
export type ConnectionWanted = {
  readonly environmentId: string;
  readonly workflowId: string;
  readonly accountId: string;
  readonly slug: string | undefined;
};

/** `api` is the JSON text of what the integration says of its API. */
export type FoundSealed = { readonly slug: string; readonly api: string; readonly sealed: string | undefined };

const columns = ["account_id", "slug", "hints", "revision", "create_time", "update_time"] as const;

/** Connections: the encrypted credentials of linked accounts for integrations. This class cannot decrypt them. */
export class ConnectionStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Creates or replaces a connection. Throws RESOURCE_NOT_FOUND, INTEGRATION_NOT_FOUND and ETAG_MISMATCH. */
  async put(
    actor: Actor,
    connection: ConnectionKey &
      Sealed &
      Pick<ConnectionRecord, "hints"> & { readonly expectedRevisions?: readonly number[] },
  ): Promise<ConnectionRecord> {
    const { expectedRevisions, sealed, sealedBy, hints } = connection;
    const row = await putAccountSetting<ConnectionRow>(this.#db, actor, {
      table: "connection",
      key: keyOf(actor, connection),
      values: { sealed, sealed_by: sealedBy, hints: JSON.stringify(hints) },
      columns,
      resource: resourceOf(connection),
      expectedRevisions,
    });
    return toRecord(row);
  }

  /** Lists an account's connections by slug. Throws VALIDATION_ERROR for a bad page token. */
  async list(
    access: AccessScope,
    accountId: string,
    asked: Page,
  ): Promise<{ readonly connections: readonly ConnectionRecord[]; readonly nextPageToken?: string }> {
    const filters = { of: "connection", environmentId: access.environmentId, accountId };
    const rows = await this.#select(access, accountId)
      .where("slug", ">", asked.pageToken === undefined ? "" : parseNameToken(asked.pageToken, filters))
      .orderBy("slug")
      .limit(asked.pageSize + 1)
      .execute();
    const { page, next } = cutPage(rows, asked, (last) => nameTokenOf(last.slug, filters));
    return { connections: page.map(toRecord), ...next };
  }

  /** Throws RESOURCE_NOT_FOUND. */
  async get(access: AccessScope, key: ConnectionKey): Promise<ConnectionRecord> {
    const row = await this.#select(access, key.accountId).where("slug", "=", key.slug).executeTakeFirst();
    if (row === undefined) {
      throw connectionNotFound(key);
    }
    return toRecord(row);
  }

  /**
   * The encrypted credentials of an account for an integration, with what the integration says of its API; those of the
   * workflow's integration if no slug is given. Undefined where there is no such integration.
   */
  async find(wanted: ConnectionWanted): Promise<FoundSealed | undefined> {
    const { environmentId, workflowId, accountId, slug } = wanted;
    const row = await this.#db
      .selectFrom("integration")
      .leftJoin("connection", (join) =>
        join
          .onRef("connection.environment_id", "=", "integration.environment_id")
          .onRef("connection.slug", "=", "integration.slug")
          .on("connection.account_id", "=", accountId),
      )
      .select(["integration.slug", "integration.api", "connection.sealed"])
      .where("integration.environment_id", "=", environmentId)
      .where("integration.slug", "=", (eb) =>
        slug === undefined
          ? eb
              .selectFrom("workflow")
              .select("workflow.slug")
              .where("workflow.environment_id", "=", environmentId)
              .where("workflow.id", "=", workflowId)
          : eb.val(slug),
      )
      .executeTakeFirst();
    return row && { slug: row.slug, api: row.api, sealed: row.sealed ?? undefined };
  }

  /** Throws RESOURCE_NOT_FOUND. */
  async delete(actor: Actor, key: ConnectionKey): Promise<void> {
    await deleteRecorded(this.#db, actor, {
      table: "connection",
      key: keyOf(actor, key),
      resource: resourceOf(key),
      notFound: connectionNotFound(key),
    });
  }

  /** Key rotation: lists connections of all environments that another master key encrypted, behind one of them. */
  async listSealedByOthers(
    { sealedBy, after }: { readonly sealedBy: string; readonly after?: SealedConnection },
    limit: number,
  ): Promise<readonly SealedConnection[]> {
    const { environmentId = "", accountId = "", slug = "" } = after ?? {};
    return await this.#db
      .selectFrom("connection")
      .select(["environment_id as environmentId", "account_id as accountId", "slug", "sealed", "sealed_by as sealedBy"])
      .where("sealed_by", "!=", sealedBy)
      .where(({ eb, refTuple, tuple }) =>
        eb(refTuple("environment_id", "account_id", "slug"), ">", tuple(environmentId, accountId, slug)),
      )
      .orderBy("environment_id")
      .orderBy("account_id")
      .orderBy("slug")
      .limit(limit)
      .execute();
  }

  /** The names of the master keys that encrypted the connections of all environments. */
  async listKeyNames(): Promise<readonly string[]> {
    const rows = await this.#db.selectFrom("connection").select("sealed_by").distinct().execute();
    return rows.map(({ sealed_by }) => sealed_by);
  }

  /** Replaces credentials by the same ones, encrypted by another master key. False: they have changed in the meantime. */
  async reseal(connection: SealedConnection, { sealed, sealedBy }: Sealed): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable("connection")
      .set({ sealed, sealed_by: sealedBy })
      .where("environment_id", "=", connection.environmentId)
      .where("account_id", "=", connection.accountId)
      .where("slug", "=", connection.slug)
      .where("sealed", "=", connection.sealed)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }

  #select(access: AccessScope, accountId: string) {
    return this.#db
      .selectFrom("connection")
      .select(columns)
      .where("environment_id", "=", access.environmentId)
      .where("account_id", "=", accountId)
      .where(isWithin(access, { account: "account_id" }));
  }
}

function keyOf({ environmentId }: Actor, { accountId, slug }: ConnectionKey) {
  return { environment_id: environmentId, account_id: accountId, slug };
}

function resourceOf({ accountId, slug }: ConnectionKey): string {
  return `${accountResource(accountId)}/connection/${slug}`;
}

function connectionNotFound({ accountId, slug }: ConnectionKey): RequestError {
  const message = `The linked account "${accountId}" has no connection to the integration "${slug}".`;
  return new RequestError("RESOURCE_NOT_FOUND", message, { metadata: { account_id: accountId, slug } });
}

type ConnectionRow = Pick<Selectable<Tables["connection"]>, (typeof columns)[number]>;

function toRecord(row: ConnectionRow): ConnectionRecord {
  const { account_id, slug, hints, revision, create_time, update_time } = row;
  return {
    accountId: account_id,
    slug,
    // `put` wrote it from such an object.
    hints: JSON.parse(hints) as Record<string, string>,
    revision,
    createTime: create_time,
    updateTime: update_time,
  };
}

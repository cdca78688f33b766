import { type Kysely, type Selectable, sql } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import type { Reach } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import { isWithin } from "../postgres/access-scope.ts";
import { anyOf } from "../postgres/any-of.ts";
import { brokenConstraint } from "../postgres/database-errors.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { nameTokenOf, parseNameToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import { changedSince, integrationNotFound } from "./integration-store.ts";
import { resourceOf as accountResource, lockAccount } from "./linked-account-store.ts";
import { putExpected } from "./put-expected.ts";
import { recordChange } from "./record-change.ts";

export type ConnectionKey = { readonly accountId: string; readonly slug: string };

/** Credentials as they are kept, and which key encrypted them. */
export type Sealed = { readonly sealed: string; readonly sealedBy: string };

/** A connection as it is shown. `revision` counts its changes; times are the database's. */
export type ConnectionRecord = ConnectionKey & {
  /** How each credential ends, by name; an empty text where that is not said. */
  readonly hints: Readonly<Record<string, string>>;
  readonly revision: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

export type SealedConnection = ConnectionKey & Sealed & { readonly environmentId: string };

const columns = ["account_id", "slug", "hints", "revision", "create_time", "update_time"] as const;

/** What linked accounts connect to integrations with. Nothing here can read a credential. */
export class ConnectionStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Refuses with RESOURCE_NOT_FOUND, INTEGRATION_NOT_FOUND, and where a revision is expected with ETAG_MISMATCH. */
  async put(
    actor: Actor,
    connection: ConnectionKey &
      Sealed &
      Pick<ConnectionRecord, "hints"> & { readonly expectedRevisions?: readonly number[] },
  ): Promise<ConnectionRecord> {
    const { accountId, slug, expectedRevisions, sealed, sealedBy, hints } = connection;
    const key = { environment_id: actor.environmentId, account_id: accountId, slug };
    const values = { sealed, sealed_by: sealedBy, hints: JSON.stringify(hints) };
    const next = { ...values, revision: sql<number>`connection.revision + 1`, update_time: sql<Date>`now()` };
    try {
      return await this.#db.transaction().execute(async (transaction) => {
        await lockAccount(transaction, actor, accountId);
        const row = await putExpected(expectedRevisions, {
          insert: (others) =>
            transaction
              .insertInto("connection")
              .values({ ...key, ...values })
              .onConflict((conflict) => {
                const target = conflict.columns(["environment_id", "account_id", "slug"]);
                return others === "kept" ? target.doNothing() : target.doUpdateSet(next);
              })
              .returning(columns)
              .executeTakeFirst(),
          update: (revisions) =>
            transaction
              .updateTable("connection")
              .set(next)
              .where(({ and }) => and(key))
              .where("revision", "=", anyOf(revisions))
              .returning(columns)
              .executeTakeFirst(),
        });
        if (row === undefined) throw changedSince(resourceOf(connection));
        const action = row.revision === 1 ? "CREATE" : "UPDATE";
        await recordChange(transaction, actor, { action, resource: resourceOf(connection) });
        return toRecord(row);
      });
    } catch (error) {
      throw brokenConstraint(error) === "connection_integration" ? integrationNotFound(slug) : error;
    }
  }

  /** Of an account, by slug. Refuses with VALIDATION_ERROR a token that no page gave. */
  async list(
    reach: Reach,
    accountId: string,
    asked: Page,
  ): Promise<{ readonly connections: readonly ConnectionRecord[]; readonly nextPageToken?: string }> {
    const filters = { of: "connection", environmentId: reach.environmentId, accountId };
    const rows = await this.#select(reach, accountId)
      .where("slug", ">", asked.pageToken === undefined ? "" : parseNameToken(asked.pageToken, filters))
      .orderBy("slug")
      .limit(asked.pageSize + 1)
      .execute();
    const { page, next } = cutPage(rows, asked, (last) => nameTokenOf(last.slug, filters));
    return { connections: page.map(toRecord), ...next };
  }

  /** Refuses with RESOURCE_NOT_FOUND. */
  async get(reach: Reach, key: ConnectionKey): Promise<ConnectionRecord> {
    const row = await this.#select(reach, key.accountId).where("slug", "=", key.slug).executeTakeFirst();
    if (row === undefined) throw connectionNotFound(key);
    return toRecord(row);
  }

  /** Refuses with RESOURCE_NOT_FOUND. */
  async delete(actor: Actor, key: ConnectionKey): Promise<void> {
    await this.#db.transaction().execute(async (transaction) => {
      const { numDeletedRows } = await transaction
        .deleteFrom("connection")
        .where("environment_id", "=", actor.environmentId)
        .where("account_id", "=", key.accountId)
        .where("slug", "=", key.slug)
        .executeTakeFirst();
      if (numDeletedRows === 0n) throw connectionNotFound(key);
      await recordChange(transaction, actor, { action: "DELETE", resource: resourceOf(key) });
    });
  }

  /** Connections of all environments that another key has encrypted, in an order, behind one of them. */
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

  /** The names of the keys that have encrypted the connections of all environments. */
  async listKeyNames(): Promise<readonly string[]> {
    const rows = await this.#db.selectFrom("connection").select("sealed_by").distinct().execute();
    return rows.map(({ sealed_by }) => sealed_by);
  }

  /** Puts the same credentials, encrypted by another key, in the place of what they were. False: they have changed since. */
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

  #select(reach: Reach, accountId: string) {
    return this.#db
      .selectFrom("connection")
      .select(columns)
      .where("environment_id", "=", reach.environmentId)
      .where("account_id", "=", accountId)
      .where(isWithin(reach, { account: "account_id" }));
  }
}

function resourceOf({ accountId, slug }: ConnectionKey): string {
  return `${accountResource(accountId)}/connection/${slug}`;
}

function connectionNotFound({ accountId, slug }: ConnectionKey): RequestError {
  const message = `the linked account "${accountId}" has no connection to "${slug}"`;
  return new RequestError("RESOURCE_NOT_FOUND", message, { metadata: { account_id: accountId, slug } });
}

function toRecord(row: Pick<Selectable<Tables["connection"]>, (typeof columns)[number]>): ConnectionRecord {
  const { account_id, slug, hints, revision, create_time, update_time } = row;
  return {
    accountId: account_id,
    slug,
    // Written by put from such an object.
    hints: JSON.parse(hints) as Record<string, string>,
    revision,
    createTime: create_time,
    updateTime: update_time,
  };
}

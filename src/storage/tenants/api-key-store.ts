import { type Kysely, type Selectable, sql } from "kysely";
import { newId } from "../../domain/id.ts";
import { fieldsRefused } from "../../domain/json/violations.ts";
import { type ApiKeyRecord, checkGrant, type Grant, type KeyText } from "../../domain/keys/api-key.ts";
import type { KeySecret } from "../../domain/keys/key-checksum.ts";
import type { AccessScope, KeyName, Principal } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import { lookUpConnections } from "../postgres/database.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { pageTokenOf, parsePageToken } from "../postgres/page-token.ts";
import { StatementBatcher } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";
import { requireOtherAdminKey } from "./last-admin-key.ts";
import { auditEvent, recordChange } from "./record-change.ts";

export type NewApiKey = Grant & KeyText & Omit<AccessScope, "environmentId"> & { readonly name: string };

/** The caller that a key belongs to, and for how long the key is still valid, where it expires. */
export type FoundPrincipal = { readonly principal: Principal; readonly validMs?: number };

const columns = [
  "id",
  "name",
  "prefix",
  "scopes",
  "workflow_ids",
  "linked_account_ids",
  "create_time",
  "expire_time",
  "revoke_time",
  "previous_expire_time",
] as const;

/** Look-ups in one statement. In a flood of wrong keys, thousands arrive while a few statements run. */
const lookUpsMax = 1_000;

/** API keys. Only their hashes are stored. */
export class ApiKeyStore {
  readonly #db: Kysely<Tables>;
  readonly #unsigned: StatementBatcher<string, FoundPrincipal | undefined>;

  /** `lookUpDb` has connections of its own, so that a flood of made-up keys delays no calls. */
  constructor({ db, lookUpDb }: { readonly db: Kysely<Tables>; readonly lookUpDb: Kysely<Tables> }) {
    this.#db = db;
    this.#unsigned = new StatementBatcher({
      name: "find_key",
      limits: { rowsMax: lookUpsMax, inFlightMax: lookUpConnections },
      send: (hashes) => findPrincipals(lookUpDb, hashes),
    });
  }

  /** The secrets of the key checksums, newest first. */
  async listSecrets(): Promise<readonly KeySecret[]> {
    return await this.#db
      .selectFrom("key_secret")
      .select(["id", "secret"])
      .orderBy("create_time", "desc")
      .orderBy("id")
      .execute();
  }

  /**
   * Finds the caller by the hash of a key; undefined where the key is revoked, has expired, or was rotated and its overlap
   * with the new key is over.
   */
  async findPrincipal(hash: string): Promise<FoundPrincipal | undefined> {
    const [found] = await findPrincipals(this.#db, [hash]);
    return found;
  }

  /** The same for a key without a valid checksum, which anybody may have made up: batched, on connections of its own. */
  async findUnsigned(hash: string): Promise<FoundPrincipal | undefined> {
    return await this.#unsigned.call(hash);
  }

  /** Finds the caller by the id of a key that issued a watch token; undefined where the key is revoked or has expired. */
  async findPrincipalByName({ environmentId, keyId }: KeyName): Promise<FoundPrincipal | undefined> {
    const { rows } = await sql<PrincipalRow>`
      select key.hash, ${principalColumns}
      from (select *, expire_time as end_time from api_key where id = ${keyId} and environment_id = ${environmentId}) as key
      join environment on environment.id = key.environment_id
      where ${isValid}`.execute(this.#db);
    const [row] = rows;
    return row && toFound(row);
  }

  /** Throws KEY_EXCEEDS_MAKER, and VALIDATION_ERROR where the key has expired already by the database's clock. */
  async create(maker: Principal, { hash, prefix, ...key }: NewApiKey): Promise<ApiKeyRecord> {
    checkGrant(maker, key);
    const id = newId();
    const { rows } = await sql<KeyRow>`
      with changed as (
        insert into api_key (environment_id, id, hash, prefix, name, scopes, workflow_ids, linked_account_ids, expire_time)
        select ${maker.environmentId}, ${id}, ${hash}, ${prefix}, ${key.name}, ${key.scopes}::int[],
               ${key.workflowIds ?? null}::text[], ${key.linkedAccountIds ?? null}::text[], given.expire_time
          from (select ${key.expireTime ?? null}::timestamptz as expire_time) as given
         where given.expire_time is null or given.expire_time > now()
        returning ${sql.join(columns.map((column) => sql.ref(column)))}
      ), audited as ${auditEvent(maker, { from: "changed", action: "CREATE", resource: resourceOf(id) })}
      select * from changed`.execute(this.#db);
    const [row] = rows;
    if (row === undefined) {
      throw fieldsRefused([{ field: "expire_time", description: "must be in the future" }]);
    }
    return toRecord(row);
  }

  /** Newest first. Throws VALIDATION_ERROR for a bad page token. */
  async list(
    environmentId: string,
    asked: Page,
  ): Promise<{ readonly apiKeys: readonly ApiKeyRecord[]; readonly nextPageToken?: string }> {
    const filters = { environmentId, of: "api_key" };
    let query = this.#db
      .selectFrom("api_key")
      .select(columns)
      .where("environment_id", "=", environmentId)
      .orderBy("create_time", "desc")
      .orderBy("id", "desc")
      .limit(asked.pageSize + 1);
    if (asked.pageToken !== undefined) {
      const { createTime, id } = parsePageToken(asked.pageToken, filters);
      query = query.where(({ eb, refTuple, tuple }) => eb(refTuple("create_time", "id"), "<", tuple(createTime, id)));
    }
    const rows = await query.execute();
    const { page, next } = cutPage(rows.map(toRecord), asked, (last) => pageTokenOf(last, filters));
    return { apiKeys: page, ...next };
  }

  /** Throws RESOURCE_NOT_FOUND. */
  async get(environmentId: string, id: string): Promise<ApiKeyRecord> {
    const row = await selectKey(this.#db, environmentId, id).executeTakeFirst();
    if (row === undefined) {
      throw keyNotFound(id);
    }
    return toRecord(row);
  }

  /**
   * Gives a key a new text; the old one stays valid for the overlap. Throws RESOURCE_NOT_FOUND, KEY_ENDED, and
   * KEY_EXCEEDS_MAKER where the caller lacks scopes that the key has.
   */
  async rotate(
    maker: Principal,
    { id, hash, prefix, overlapSeconds }: KeyText & { readonly id: string; readonly overlapSeconds: number },
  ): Promise<ApiKeyRecord> {
    const { environmentId } = maker;
    const found = await selectKey(this.#db, environmentId, id)
      .select(sql<boolean>`revoke_time is not null or expire_time <= now()`.as("is_ended"))
      .executeTakeFirst();
    if (found === undefined) {
      throw keyNotFound(id);
    }
    if (found.is_ended === true) {
      throw ended(id);
    }
    // Neither the scopes of a key nor its end ever change.
    checkGrant(maker, toRecord(found));
    const row = await this.#db
      .with("changed", (query) =>
        query
          .updateTable("api_key")
          .set({
            previous_hash: sql.ref("hash"),
            previous_expire_time: sql`now() + make_interval(secs => ${overlapSeconds})`,
            hash,
            prefix,
          })
          .where("environment_id", "=", environmentId)
          .where("id", "=", id)
          .where("revoke_time", "is", null)
          .where(({ eb, or }) => or([eb("expire_time", "is", null), eb("expire_time", ">", sql<Date>`now()`)]))
          .returning(columns),
      )
      .with("audited", () => auditEvent(maker, { from: "changed", action: "ROTATE", resource: resourceOf(id) }))
      .selectFrom("changed")
      .selectAll()
      .executeTakeFirst();
    if (row === undefined) {
      throw ended(id);
    }
    return toRecord(row);
  }

  /** Revokes a key for good, idempotently. Throws RESOURCE_NOT_FOUND and LAST_ADMIN_KEY. */
  async revoke(maker: Principal, id: string): Promise<ApiKeyRecord> {
    const { environmentId } = maker;
    const revoked = await this.#db.transaction().execute(async (transaction) => {
      await requireOtherAdminKey(transaction, { environmentId, id });
      const row = await transaction
        .updateTable("api_key")
        .set({ revoke_time: sql`now()` })
        .where("environment_id", "=", environmentId)
        .where("id", "=", id)
        .where("revoke_time", "is", null)
        .returning(columns)
        .executeTakeFirst();
      if (row !== undefined) {
        await recordChange(transaction, maker, { action: "REVOKE", resource: resourceOf(id) });
      }
      return row;
    });
    return revoked === undefined ? await this.get(environmentId, id) : toRecord(revoked);
  }
}

/** Columns of `environment` and of `key`, in which `end_time` is the end of the presented text of the key. */
const principalColumns = sql`environment.organization_id, environment.id as environment_id, environment.kind, key.id,
  key.scopes, key.workflow_ids, key.linked_account_ids, key.end_time,
  (extract(epoch from key.end_time - now()) * 1000)::float8 as valid_ms`;

const isValid = sql`key.revoke_time is null and (key.end_time is null or key.end_time > now())`;

async function findPrincipals(
  db: Kysely<Tables>,
  hashes: readonly string[],
): Promise<readonly (FoundPrincipal | undefined)[]> {
  const { rows } = await sql<PrincipalRow>`
    select asked.hash, ${principalColumns}
    from unnest(${hashes}::text[]) as asked (hash)
    cross join lateral (
      select *, expire_time as end_time from api_key where api_key.hash = asked.hash
      union all
      -- The function least() ignores nulls.
      select *, least(expire_time, previous_expire_time) as end_time from api_key where previous_hash = asked.hash
    ) as key
    join environment on environment.id = key.environment_id
    where ${isValid}`.execute(db);
  const found = new Map(rows.map((row) => [row.hash, toFound(row)]));
  return hashes.map((hash) => found.get(hash));
}

function toFound(row: PrincipalRow): FoundPrincipal {
  const principal: Principal = {
    organizationId: row.organization_id,
    environmentId: row.environment_id,
    environment: row.kind,
    keyId: row.id,
    scopes: row.scopes,
    ...(row.workflow_ids !== null && { workflowIds: row.workflow_ids }),
    ...(row.linked_account_ids !== null && { linkedAccountIds: row.linked_account_ids }),
    ...(row.end_time !== null && { expireTime: row.end_time }),
  };
  return { principal, ...(row.valid_ms !== null && { validMs: row.valid_ms }) };
}

type PrincipalRow = Pick<
  Selectable<Tables["api_key"]>,
  "id" | "environment_id" | "scopes" | "workflow_ids" | "linked_account_ids"
> & {
  /** The hash that was asked for. */
  readonly hash: string;
  readonly organization_id: string;
  readonly kind: Principal["environment"];
  /** When this text of the key ends (the old text of a rotated key ends earlier). */
  readonly end_time: Date | null;
  readonly valid_ms: number | null;
};

function selectKey(db: Kysely<Tables>, environmentId: string, id: string) {
  return db.selectFrom("api_key").select(columns).where("environment_id", "=", environmentId).where("id", "=", id);
}

function keyNotFound(id: string): RequestError {
  return new RequestError("RESOURCE_NOT_FOUND", `There is no API key "${id}".`, { metadata: { api_key_id: id } });
}

function ended(id: string): RequestError {
  const message = "The API key is revoked or has expired and cannot be rotated. Create another one.";
  return new RequestError("KEY_ENDED", message, { metadata: { api_key_id: id } });
}

function resourceOf(id: string): string {
  return `api-key/${id}`;
}

type KeyRow = Pick<Selectable<Tables["api_key"]>, (typeof columns)[number]>;

function toRecord(row: KeyRow): ApiKeyRecord {
  return {
    id: row.id,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes,
    ...(row.workflow_ids !== null && { workflowIds: row.workflow_ids }),
    ...(row.linked_account_ids !== null && { linkedAccountIds: row.linked_account_ids }),
    createTime: row.create_time,
    ...(row.expire_time !== null && { expireTime: row.expire_time }),
    ...(row.revoke_time !== null && { revokeTime: row.revoke_time }),
    ...(row.previous_expire_time !== null && { previousExpireTime: row.previous_expire_time }),
  };
}

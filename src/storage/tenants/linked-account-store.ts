import { type Kysely, type Selectable, sql, type Transaction } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import { etagMismatch } from "../../domain/http/etag-mismatch.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { AccessScope } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import { isWithin } from "../postgres/access-scope.ts";
import { anyOf } from "../postgres/any-of.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { nameTokenOf, parseNameToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import { auditEvent, recordChange } from "./record-change.ts";

/** A linked account without its attributes. `revision` counts its changes. */
export type LinkedAccountRecord = {
  readonly accountId: string;
  readonly name?: string;
  readonly revision: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

export type LinkedAccountContent = {
  readonly accountId: string;
  readonly name?: string;
  /** JSON text of an object. */
  readonly attributes: JsonText;
};

const columns = ["account_id", "name", "revision", "create_time", "update_time"] as const;

/** Linked accounts, for whom workflows run. A deleted one stays as a row for the history of its executions. */
export class LinkedAccountStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Creates or replaces an account. Throws ETAG_MISMATCH. */
  async put(
    actor: Actor,
    {
      accountId,
      expectedRevisions,
      ...content
    }: LinkedAccountContent & { readonly expectedRevisions?: readonly number[] },
  ): Promise<LinkedAccountRecord> {
    const { environmentId } = actor;
    const values = { name: content.name ?? null, attributes: content.attributes };
    const next = {
      ...values,
      revision: sql<number>`linked_account.revision + 1`,
      update_time: sql<Date>`now()`,
      delete_time: null,
    };
    const row = await this.#db
      .with("changed", (query) => {
        if (expectedRevisions !== undefined && expectedRevisions.length > 0) {
          return query
            .updateTable("linked_account")
            .set(next)
            .where("environment_id", "=", environmentId)
            .where("account_id", "=", accountId)
            .where("revision", "=", anyOf(expectedRevisions))
            .where("delete_time", "is", null)
            .returning([...columns, isInserted]);
        }
        return query
          .insertInto("linked_account")
          .values({ environment_id: environmentId, account_id: accountId, ...values })
          .onConflict((conflict) => {
            const update = conflict.columns(["environment_id", "account_id"]).doUpdateSet(next);
            if (expectedRevisions === undefined) {
              return update;
            }
            // Nothing may be there yet. A deleted account does not count as there.
            return update.where("linked_account.delete_time", "is not", null);
          })
          .returning([...columns, isInserted]);
      })
      .with("audited", () =>
        auditEvent(actor, {
          from: "changed",
          action: sql`case when changed.is_inserted then 'CREATE' else 'UPDATE' end`,
          resource: resourceOf(accountId),
        }),
      )
      .selectFrom("changed")
      .selectAll()
      .executeTakeFirst();
    if (row === undefined) {
      throw etagMismatch({ resource: resourceOf(accountId) });
    }
    return toRecord(row);
  }

  /** Lists accounts by id. Throws VALIDATION_ERROR for a bad page token. */
  async list(
    access: AccessScope,
    asked: Page,
  ): Promise<{ readonly linkedAccounts: readonly LinkedAccountRecord[]; readonly nextPageToken?: string }> {
    const { environmentId } = access;
    const filters = { of: "linked_account", environmentId };
    const rows = await this.#db
      .selectFrom("linked_account")
      .select(columns)
      .where("environment_id", "=", environmentId)
      .where("account_id", ">", asked.pageToken === undefined ? "" : parseNameToken(asked.pageToken, filters))
      .where("delete_time", "is", null)
      .where(isWithin(access, { account: "account_id" }))
      .orderBy("account_id")
      .limit(asked.pageSize + 1)
      .execute();
    const { page, next } = cutPage(rows, asked, (last) => nameTokenOf(last.account_id, filters));
    return { linkedAccounts: page.map(toRecord), ...next };
  }

  /** Throws RESOURCE_NOT_FOUND. */
  async get(access: AccessScope, accountId: string): Promise<LinkedAccountRecord & { readonly attributes: JsonText }> {
    const row = await this.#db
      .selectFrom("linked_account")
      .select([...columns, "attributes"])
      .where("environment_id", "=", access.environmentId)
      .where("account_id", "=", accountId)
      .where("delete_time", "is", null)
      .where(isWithin(access, { account: "account_id" }))
      .executeTakeFirst();
    if (row === undefined) {
      throw accountNotFound(accountId);
    }
    // It was written from a JsonText.
    return { ...toRecord(row), attributes: row.attributes as JsonText };
  }

  /** Finds many accounts in one statement: the refusal of each that is not there stands in its place. */
  async findMany(
    scope: AccessScope,
    accountIds: readonly string[],
  ): Promise<readonly (LinkedAccountRecord | RequestError)[]> {
    if (accountIds.length === 0) {
      return [];
    }
    const rows = await this.#db
      .selectFrom("linked_account")
      .select(columns)
      .where("environment_id", "=", scope.environmentId)
      .where(sql<boolean>`account_id = any(${accountIds}::text[])`)
      .where("delete_time", "is", null)
      .where(isWithin(scope, { account: "account_id" }))
      .execute();
    const found = new Map(rows.map((row) => [row.account_id, toRecord(row)]));
    return accountIds.map((id) => found.get(id) ?? accountNotFound(id));
  }

  /**
   * Deletes an account with its configurations and connections. Throws RESOURCE_NOT_FOUND, and LINKED_ACCOUNT_IN_USE while
   * executions of it have not ended. An execution that is accepted at the same moment still runs.
   */
  async delete(actor: Actor, accountId: string): Promise<void> {
    await this.#db.transaction().execute(async (transaction) => {
      await lockAccount(transaction, actor, accountId);
      if (await hasUnfinished(transaction, actor, accountId)) {
        throw inUse(accountId);
      }
      for (const table of ["config", "connection"] as const) {
        await transaction
          .deleteFrom(table)
          .where("environment_id", "=", actor.environmentId)
          .where("account_id", "=", accountId)
          .execute();
      }
      await transaction
        .updateTable("linked_account")
        .set({
          name: null,
          attributes: "{}",
          revision: sql`revision + 1`,
          update_time: sql`now()`,
          delete_time: sql`now()`,
        })
        .where("environment_id", "=", actor.environmentId)
        .where("account_id", "=", accountId)
        .execute();
      await recordChange(transaction, actor, { action: "DELETE", resource: resourceOf(accountId) });
    });
  }
}

/**
 * Locks an account until the end of the transaction, so that nothing is set for it while it is deleted. Throws
 * RESOURCE_NOT_FOUND.
 */
export async function lockAccount(
  transaction: Transaction<Tables>,
  { environmentId }: Actor,
  accountId: string,
): Promise<void> {
  const row = await transaction
    .selectFrom("linked_account")
    .select("account_id")
    .where("environment_id", "=", environmentId)
    .where("account_id", "=", accountId)
    .where("delete_time", "is", null)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (row === undefined) {
    throw accountNotFound(accountId);
  }
}

export function accountNotFound(accountId: string): RequestError {
  return new RequestError("RESOURCE_NOT_FOUND", `There is no linked account "${accountId}".`, {
    metadata: { account_id: accountId },
  });
}

/** The name of an account in the audit log: its path below /api/v1. */
export function resourceOf(accountId: string): string {
  return `linked-account/${accountId}`;
}

/** Postgres sets `xmax` when the statement locked a row that was there before. */
const isInserted = sql<boolean>`linked_account.xmax = 0`.as("is_inserted");

async function hasUnfinished(
  transaction: Transaction<Tables>,
  { environmentId }: Actor,
  accountId: string,
): Promise<boolean> {
  const unfinished = await transaction
    .selectFrom("execution_claim")
    .innerJoin("execution", "execution.id", "execution_claim.execution_id")
    .select("execution.id")
    .where("execution_claim.environment_id", "=", environmentId)
    .where("execution.environment_id", "=", environmentId)
    .where("execution.linked_account_id", "=", accountId)
    .limit(1)
    .executeTakeFirst();
  return unfinished !== undefined;
}

function inUse(accountId: string): RequestError {
  return RequestError.of("LINKED_ACCOUNT_IN_USE", { metadata: { account_id: accountId } });
}

function toRecord(row: Pick<Selectable<Tables["linked_account"]>, (typeof columns)[number]>): LinkedAccountRecord {
  const { account_id, name, revision, create_time, update_time } = row;
  return {
    accountId: account_id,
    ...(name !== null && { name }),
    revision,
    createTime: create_time,
    updateTime: update_time,
  };
}

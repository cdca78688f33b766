import { type Kysely, sql } from "kysely";
import { type Account, turnOf } from "../../domain/account.ts";
import { cautiousNow } from "../postgres/database-clock.ts";
import { byInputRow, columnList, inputRows } from "../postgres/input-rows.ts";
import { type BatchLimits, StatementBatcher } from "../postgres/statement-batcher.ts";
import type { Tables } from "../postgres/tables.ts";

/** The execution that an idempotency key stands for, and the fingerprint of the call that started it. */
export type BoundExecution = { readonly executionId: string; readonly fingerprint: string };

/** An idempotency key of an account. */
export type AccountKey = Account & { readonly key: string };

/** An idempotency key is kept for this long after the end of its execution. */
const idempotencyHours = 24;

/** Finds the execution that an idempotency key of an account stands for. */
export type FindBound = (account: Account, key: string) => Promise<BoundExecution | undefined>;

export function findBoundExecution(db: Kysely<Tables>, limits: BatchLimits): FindBound {
  const batcher = new StatementBatcher<AccountKey, BoundExecution | undefined>({
    name: "find_bound",
    limits,
    send: (all) => findAllBound(db, all),
    turnOf,
  });
  return ({ organizationId, environmentId, linkedAccountId }, key) =>
    batcher.call({ organizationId, environmentId, linkedAccountId, key });
}

/** A key is free again some time after the end of its execution. No `exists` here: it may be planned as a scan. */
export function isOver(key: "idempotency_key" | "bound", now = cautiousNow()) {
  return sql`(select end_time from execution where execution.id = ${sql.ref(`${key}.execution_id`)})
    < ${now} - make_interval(hours => ${sql.lit(idempotencyHours)})`;
}

const keyTypes = { environment_id: "text", linked_account_id: "text", key: "text" } as const;

export async function findAllBound(
  db: Kysely<Tables>,
  keys: readonly AccountKey[],
): Promise<readonly (BoundExecution | undefined)[]> {
  const input = keys.map(({ environmentId, linkedAccountId, key }) => ({
    environment_id: environmentId,
    linked_account_id: linkedAccountId,
    key,
  }));
  const { rows } = await sql<{ row: number; execution_id: string; fingerprint: string }>`
    select input.row, bound.execution_id, bound.fingerprint
      from ${inputRows("input", keyTypes, input)} join idempotency_key as bound using (${columnList(keyTypes)})
     where ${isOver("bound")} is not true`.execute(db);
  return byInputRow(keys, rows).map(([bound]) => {
    return bound && { executionId: bound.execution_id, fingerprint: bound.fingerprint };
  });
}

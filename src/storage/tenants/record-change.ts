import { type RawBuilder, sql, type Transaction } from "kysely";
import type { Actor, AuditAction } from "../../domain/audit.ts";
import { newId } from "../../domain/id.ts";
import type { Tables } from "../postgres/tables.ts";

export type Change = { readonly action: AuditAction; readonly resource: string };

/** Records who made a change, in the transaction of the change: both commit or neither. */
export async function recordChange(
  transaction: Transaction<Tables>,
  { environmentId, keyId }: Actor,
  change: Change,
): Promise<void> {
  await transaction
    .insertInto("audit_event")
    .values({ environment_id: environmentId, id: newId(), key_id: keyId, ...change })
    .execute();
}

/**
 * Inserts an audit event in the statement of the change that it records, as a common table expression: both are committed
 * or neither, and in one round trip.
 */
export function auditEvent(
  { environmentId, keyId }: Actor,
  { from, action, resource }: ChangedRow,
): RawBuilder<Record<string, unknown>> {
  return sql`(
    insert into audit_event (environment_id, id, key_id, action, resource)
    select ${environmentId}, ${newId()}, ${keyId}, ${action}, ${resource} from ${sql.table(from)})`;
}

type ChangedRow = {
  /** The common table expression that has a row where the change was made, and none where it was not. */
  readonly from: string;
  readonly action: AuditAction | RawBuilder<AuditAction>;
  readonly resource: string | RawBuilder<string>;
};

import type { Transaction } from "kysely";
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

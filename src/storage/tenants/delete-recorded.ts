import type { DeleteResult, Kysely, Transaction } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import type { RequestError } from "../../domain/request-error.ts";
import type { Tables } from "../postgres/tables.ts";
import { recordChange } from "./record-change.ts";

export type Deletion = {
  /** Its name in the audit log. */
  readonly resource: string;
  readonly notFound: RequestError;
  readonly remove: (transaction: Transaction<Tables>) => Promise<DeleteResult>;
};

/** Deletes a row and records the change. Throws `notFound` where there is no such row. */
export async function deleteRecorded(
  db: Kysely<Tables>,
  actor: Actor,
  { resource, notFound, remove }: Deletion,
): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    const { numDeletedRows } = await remove(transaction);
    if (numDeletedRows === 0n) throw notFound;
    await recordChange(transaction, actor, { action: "DELETE", resource });
  });
}

/**
 * Writes of rows that users edit. Each is one transaction that also adds to the audit log.
 *
 * They use optimistic locking: a caller that names revisions (as etags) overwrites only those. Without revisions it
 * overwrites whatever is there; an empty list means that nothing may be there.
 */
import type { DeleteResult, Kysely, Transaction } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Tables } from "../postgres/tables.ts";
import { recordChange } from "./record-change.ts";

export type RecordedPut<Row> = {
  /** Its name in the audit log. */
  readonly resource: string;
  readonly expectedRevisions: readonly number[] | undefined;
  /** Runs first, in the same transaction. */
  readonly prepare?: (transaction: Transaction<Tables>) => Promise<void>;
  readonly insert: (transaction: Transaction<Tables>, onConflict: "replace" | "keep") => Promise<Row | undefined>;
  /** Changes the row if it has one of these revisions. */
  readonly update: (transaction: Transaction<Tables>, revisions: readonly number[]) => Promise<Row | undefined>;
  readonly isCreated: (row: Row) => boolean;
};

/** Creates or replaces a row. Throws ETAG_MISMATCH where something else was there. */
export async function putRecorded<Row>(db: Kysely<Tables>, actor: Actor, put: RecordedPut<Row>): Promise<Row> {
  const { resource, expectedRevisions, prepare, insert, update, isCreated } = put;
  return await db.transaction().execute(async (transaction) => {
    await prepare?.(transaction);
    const row =
      expectedRevisions === undefined
        ? await insert(transaction, "replace")
        : expectedRevisions.length === 0
          ? await insert(transaction, "keep")
          : await update(transaction, expectedRevisions);
    if (row === undefined) throw changedMeanwhile(resource);
    await recordChange(transaction, actor, { action: isCreated(row) ? "CREATE" : "UPDATE", resource });
    return row;
  });
}

export type RecordedDelete = {
  /** Its name in the audit log. */
  readonly resource: string;
  readonly notFound: RequestError;
  readonly remove: (transaction: Transaction<Tables>) => Promise<DeleteResult>;
};

/** Deletes a row. Throws `notFound` where there is none. */
export async function deleteRecorded(
  db: Kysely<Tables>,
  actor: Actor,
  { resource, notFound, remove }: RecordedDelete,
): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    const { numDeletedRows } = await remove(transaction);
    if (numDeletedRows === 0n) throw notFound;
    await recordChange(transaction, actor, { action: "DELETE", resource });
  });
}

/** The refusal of a change that expected another revision. */
export function changedMeanwhile(resource: string): RequestError {
  return RequestError.of("ETAG_MISMATCH", { metadata: { resource } });
}

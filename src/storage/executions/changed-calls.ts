import { type Kysely, sql } from "kysely";
import type { Tables } from "../postgres/tables.ts";
import type { ReadSet } from "../tenants/read-set.ts";

/** What a statement would have accepted. */
type Call = { readonly execution: { readonly id: string }; readonly readSet: ReadSet | undefined };

/**
 * Finds which of the calls have to be resolved anew, among those that the statement found changed. An execution that is
 * there already was committed by an earlier try, whose answer was lost: it is accepted, whatever has changed since.
 */
export async function listChanged(
  db: Kysely<Tables>,
  calls: readonly Call[],
  found: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  if (found.size === 0) {
    return found;
  }
  const { rows } = await sql<{ id: string }>`
    select execution.id from unnest(${[...found]}::text[]) as found(id) join execution using (id)`.execute(db);
  const committed = new Set(rows.map(({ id }) => id));
  const changed = new Set([...found].filter((id) => !committed.has(id)));
  for (const { execution, readSet } of calls) {
    if (readSet === undefined && changed.has(execution.id)) {
      throw new Error(`the version or the account of execution ${execution.id} does not exist in its environment`);
    }
  }
  return changed;
}

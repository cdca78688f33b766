import { type Kysely, sql } from "kysely";
import type { NodeRun } from "../../domain/execution.ts";
import { underWayOf } from "../../domain/under-way.ts";
import type { Tables } from "../postgres/tables.ts";

/** Finds the nodes that are under way, from the records of a journal in the order in which they were written. */
export class NodesUnderWay {
  readonly #nodes = new Map<string, { readonly run: NodeRun; readonly epoch: number }>();

  /** @param epoch of the owner that wrote the record */
  add(record: NodeRun, epoch: number): void {
    const [path = "", mark] = record.path.split("#");
    if (mark === undefined) {
      this.#nodes.delete(path);
      return;
    }
    const known = this.#nodes.get(path);
    const run = underWayOf(record);
    const start_time = Math.min(record.start_time, known?.run.start_time ?? record.start_time);
    if (run !== undefined) {
      this.#nodes.set(path, { run: { ...run, start_time }, epoch });
    }
    // The attempt has failed, and another one follows.
    else if (known !== undefined && mark === String(record.attempts)) {
      this.#nodes.set(path, { run: { ...known.run, start_time, attempts: record.attempts + 1 }, epoch });
    }
  }

  get isEmpty(): boolean {
    return this.#nodes.size === 0;
  }

  /**
   * Lists the nodes under way. A node that an earlier owner ran counts only once the present owner records it again; a node
   * that waits counts under any owner.
   *
   * @param epoch of the present owner, if there is one
   */
  list(epoch: number | undefined): readonly NodeRun[] {
    const all = [...this.#nodes.values()];
    return all.filter((one) => one.run.state === "WAITING" || one.epoch === epoch).map(({ run }) => run);
  }
}

/** The claim of an unfinished execution, with the epoch of its owner if it has one. Undefined where it has ended. */
export async function claimOf(
  db: Kysely<Tables>,
  { environmentId, id }: { readonly environmentId: string; readonly id: string },
): Promise<{ readonly epoch: number | undefined } | undefined> {
  const { rows } = await sql<{ epoch: number | null }>`
    select case when owner is not null then epoch end as epoch from execution_claim
     where execution_id = ${id} and environment_id = ${environmentId}`.execute(db);
  const [claim] = rows;
  return claim && { epoch: claim.epoch ?? undefined };
}

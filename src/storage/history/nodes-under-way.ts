import { type Kysely, sql } from "kysely";
import type { NodeRun } from "../../domain/execution.ts";
import { underWayOf } from "../../domain/under-way.ts";
import type { Tables } from "../postgres/tables.ts";

/** Gathers the nodes that are under way from a journal that is read in its order. */
export class NodesUnderWay {
  readonly #nodes = new Map<string, { readonly run: NodeRun; readonly epoch: number }>();

  /** @param epoch of the owner that has written the record */
  add(record: NodeRun, epoch: number): void {
    const [path = "", mark] = record.path.split("#");
    if (mark === undefined) {
      this.#nodes.delete(path);
      return;
    }
    const known = this.#nodes.get(path);
    const run = underWayOf(record);
    const start_time = Math.min(record.start_time, known?.run.start_time ?? record.start_time);
    if (run !== undefined) this.#nodes.set(path, { run: { ...run, start_time }, epoch });
    // An attempt has failed, and another one follows.
    else if (known !== undefined && mark === String(record.attempts)) {
      this.#nodes.set(path, { run: { ...known.run, start_time, attempts: record.attempts + 1 }, epoch });
    }
  }

  get isEmpty(): boolean {
    return this.#nodes.size === 0;
  }

  /**
   * What is under way where the execution is owned with this epoch. What an earlier owner ran does not run any more, until
   * the present one records it anew; what waits waits whoever owns it.
   *
   * @param epoch undefined where nobody owns it
   */
  list(epoch: number | undefined): readonly NodeRun[] {
    const all = [...this.#nodes.values()];
    return all.filter((one) => one.run.state === "WAITING" || one.epoch === epoch).map(({ run }) => run);
  }
}

/** Who has an execution that has not ended: the owner's epoch, if there is one. Undefined where it has ended. */
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

import type { Kysely } from "kysely";
import type { Tables } from "../postgres/tables.ts";

/** Which keys what is sealed in unfinished executions needs. */
export type SealedBy = {
  /** The names of the keys. */
  readonly names: readonly string[];
  /** Some of those of which no name is known, as an earlier version sealed them. */
  readonly unnamed: readonly { readonly executionId: string; readonly sealKey: string }[];
};

const unnamedMax = 100;

/** See ExecutionStore.listSealed. */
export async function listSealed(db: Kysely<Tables>): Promise<SealedBy> {
  const sealed = db.selectFrom("execution_claim").where("seal_key", "is not", null);
  const names = await sealed.select("sealed_by").distinct().where("sealed_by", "is not", null).execute();
  const unnamed = await sealed
    .select(["execution_id as executionId", "seal_key"])
    .where("sealed_by", "is", null)
    .limit(unnamedMax)
    .execute();
  return {
    names: names.flatMap(({ sealed_by }) => sealed_by ?? []),
    unnamed: unnamed.flatMap(({ executionId, seal_key }) =>
      seal_key === null ? [] : [{ executionId, sealKey: seal_key }],
    ),
  };
}

import type { Kysely } from "kysely";
import type { Tables } from "../postgres/tables.ts";

/** The master keys that unfinished executions need, since these wrapped their data keys. */
export type SealingKeys = {
  readonly names: readonly string[];
  /** Some wrapped data keys whose master key has no known name, as an earlier version wrote them. */
  readonly unnamed: readonly { readonly executionId: string; readonly sealKey: string }[];
};

const unnamedMax = 100;

export async function listSealingKeys(db: Kysely<Tables>): Promise<SealingKeys> {
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

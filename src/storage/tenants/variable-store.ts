import { type Kysely, type Selectable, sql } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import { etagMismatch } from "../../domain/http/etag-mismatch.ts";
import { RequestError } from "../../domain/request-error.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { nameTokenOf, parseNameToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import type { Sealed } from "./connection-store.ts";
import { auditEvent } from "./record-change.ts";
import { deleteRecorded } from "./recorded-statements.ts";

export type VariableValue =
  | { readonly value: string; readonly sealed?: never; readonly sealedBy?: never }
  | (Sealed & { readonly value?: never });

export type NewVariable = VariableValue & {
  readonly name: string;
  readonly hint: string;
  readonly hosts: readonly string[];
  readonly expectedRevisions?: readonly number[];
};

/** A variable as it is shown. `value` is absent where it is secret; `revision` counts its changes. */
export type VariableRecord = {
  readonly name: string;
  readonly value: string | undefined;
  readonly hint: string;
  readonly hosts: readonly string[];
  readonly revision: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

export type FoundVariable = VariableValue & { readonly name: string; readonly hosts: readonly string[] };

export type SealedVariable = Sealed & { readonly environmentId: string; readonly name: string };

const columns = ["name", "value", "hint", "hosts", "revision", "create_time", "update_time"] as const;

/** Variables of environments. This class cannot decrypt the secret ones. */
export class VariableStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Creates or replaces a variable; at most `variablesMax` may be there. Throws ETAG_MISMATCH and VARIABLES_FULL. */
  async put(
    actor: Actor,
    { expectedRevisions, ...variable }: NewVariable,
    variablesMax: number,
  ): Promise<VariableRecord> {
    const { environmentId } = actor;
    const { name, hint, hosts, value = null, sealed = null, sealedBy = null } = variable;
    const resource = resourceOf(name);
    const values = { value, sealed, sealed_by: sealedBy, hint, hosts: JSON.stringify(hosts) };
    return await this.#db.transaction().execute(async (transaction) => {
      // Those that are put at the same time are counted one after the other.
      await sql`select from environment where id = ${environmentId} for no key update`.execute(transaction);
      const { others, revision } = await transaction
        .selectFrom("variable")
        .select([
          sql<number>`count(*) filter (where name <> ${name})::int`.as("others"),
          sql<number | null>`max(revision) filter (where name = ${name})`.as("revision"),
        ])
        .where("environment_id", "=", environmentId)
        .executeTakeFirstOrThrow();
      const isExpected =
        expectedRevisions === undefined ||
        (revision === null ? expectedRevisions.length === 0 : expectedRevisions.includes(revision));
      if (!isExpected) {
        throw etagMismatch({ resource });
      }
      if (revision === null && others >= variablesMax) {
        throw RequestError.of("VARIABLES_FULL", { metadata: { limit: "variables", value: String(variablesMax) } });
      }
      const row = await transaction
        .with("changed", (query) =>
          query
            .insertInto("variable")
            .values({ environment_id: environmentId, name, ...values })
            .onConflict((conflict) =>
              conflict
                .columns(["environment_id", "name"])
                .doUpdateSet({ ...values, revision: sql`variable.revision + 1`, update_time: sql`now()` }),
            )
            .returning(columns),
        )
        .with("audited", () =>
          auditEvent(actor, { from: "changed", action: revision === null ? "CREATE" : "UPDATE", resource }),
        )
        .selectFrom("changed")
        .selectAll()
        .executeTakeFirstOrThrow();
      return toRecord(row);
    });
  }

  /** Lists variables by name. Throws VALIDATION_ERROR for a bad page token. */
  async list(
    environmentId: string,
    asked: Page,
  ): Promise<{ readonly variables: readonly VariableRecord[]; readonly nextPageToken?: string }> {
    const filters = { of: "variable", environmentId };
    const rows = await this.#db
      .selectFrom("variable")
      .select(columns)
      .where("environment_id", "=", environmentId)
      .where("name", ">", asked.pageToken === undefined ? "" : parseNameToken(asked.pageToken, filters))
      .orderBy("name")
      .limit(asked.pageSize + 1)
      .execute();
    const { page, next } = cutPage(rows, asked, (last) => nameTokenOf(last.name, filters));
    return { variables: page.map(toRecord), ...next };
  }

  /** Throws RESOURCE_NOT_FOUND. */
  async delete(actor: Actor, name: string): Promise<void> {
    const message = `The environment has no variable "${name}".`;
    await deleteRecorded(this.#db, actor, {
      table: "variable",
      key: { environment_id: actor.environmentId, name },
      resource: resourceOf(name),
      notFound: new RequestError("RESOURCE_NOT_FOUND", message, { metadata: { name } }),
    });
  }

  /** Those of these names that there are. */
  async find(environmentId: string, names: readonly string[]): Promise<readonly FoundVariable[]> {
    const rows = await this.#db
      .selectFrom("variable")
      .select(["name", "value", "sealed", "sealed_by", "hosts"])
      .where("environment_id", "=", environmentId)
      .where("name", "in", names)
      .execute();
    return rows.map(({ name, value, sealed, sealed_by, hosts }) => ({
      name,
      hosts: hostsIn(hosts),
      ...(value === null ? { sealed: sealed ?? "", sealedBy: sealed_by ?? "" } : { value }),
    }));
  }

  /** Key rotation: lists secret variables of all environments that another master key encrypted, behind one of them. */
  async listSealedByOthers(
    { sealedBy, after }: { readonly sealedBy: string; readonly after?: SealedVariable },
    limit: number,
  ): Promise<readonly SealedVariable[]> {
    const { environmentId = "", name = "" } = after ?? {};
    return await this.#db
      .selectFrom("variable")
      .select(["environment_id as environmentId", "name", "sealed", "sealed_by as sealedBy"])
      .where("sealed_by", "!=", sealedBy)
      .where(({ eb, refTuple, tuple }) => eb(refTuple("environment_id", "name"), ">", tuple(environmentId, name)))
      .orderBy("environment_id")
      .orderBy("name")
      .limit(limit)
      .$narrowType<{ sealed: string; sealedBy: string }>()
      .execute();
  }

  /** The names of the master keys that encrypted the variables of all environments. */
  async listKeyNames(): Promise<readonly string[]> {
    const rows = await this.#db.selectFrom("variable").select("sealed_by").distinct().execute();
    return rows.flatMap(({ sealed_by }) => sealed_by ?? []);
  }

  /** Replaces a value by the same one, encrypted by another master key. False: it has changed in the meantime. */
  async reseal(variable: SealedVariable, { sealed, sealedBy }: Sealed): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable("variable")
      .set({ sealed, sealed_by: sealedBy })
      .where("environment_id", "=", variable.environmentId)
      .where("name", "=", variable.name)
      .where("sealed", "=", variable.sealed)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }
}

function resourceOf(name: string): string {
  return `variable/${name}`;
}

/** `put` wrote it from an array of texts. */
function hostsIn(text: string): readonly string[] {
  return JSON.parse(text) as readonly string[];
}

function toRecord(row: Pick<Selectable<Tables["variable"]>, (typeof columns)[number]>): VariableRecord {
  const { name, value, hint, hosts, revision, create_time, update_time } = row;
  return {
    ...{ name, hint, revision },
    value: value ?? undefined,
    hosts: hostsIn(hosts),
    createTime: create_time,
    updateTime: update_time,
  };
}

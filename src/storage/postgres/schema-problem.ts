import { type Kysely, sql } from "kysely";
import { findUpgradeProblem, migrationNames } from "../migrations/migrations.ts";
import type { Tables } from "./tables.ts";

/** Postgres: undefined_table. */
const undefinedTableCode = "42P01";

/** Explains why this version cannot work with the tables of a database; undefined where it can. It reads only. */
export async function findSchemaProblem(db: Kysely<Tables>): Promise<string | undefined> {
  const done = await listMigrations(db);
  if (done.length === 0) {
    return "the database holds no tables of Flowcall: start the service on it first";
  }
  const later = done.filter((name) => !migrationNames.includes(name));
  if (later.length > 0) {
    return `a later version has brought the database up to date (${later.join(", ")}): use that version's command`;
  }
  const missing = migrationNames.filter((name) => !done.includes(name));
  if (missing.length === 0) {
    return undefined;
  }
  const problem = findUpgradeProblem(done);
  if (problem !== undefined) {
    return problem;
  }
  return `the database is of an earlier version (${missing.join(", ")} is to come): start this version's service on it first`;
}

async function listMigrations(db: Kysely<Tables>): Promise<readonly string[]> {
  try {
    const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
    return rows.map(({ name }) => name);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === undefinedTableCode) {
      return [];
    }
    throw error;
  }
}

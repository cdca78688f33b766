import { type Kysely, sql } from "kysely";
import { findUpgradeProblem, migrationNames } from "../migrations/migrations.ts";
import type { Tables } from "./tables.ts";

/** What Postgres answers where there is no such table. */
const undefinedTableCode = "42P01";

/** Why the tables of a database are not those that this version works with; undefined where they are. It changes nothing. */
export async function findSchemaProblem(db: Kysely<Tables>): Promise<string | undefined> {
  const done = await listMigrations(db);
  if (done.length === 0) return "the database holds no tables of Flowcall: start the service on it first";
  const later = done.filter((name) => !migrationNames.includes(name));
  if (later.length > 0) {
    return `a later version has brought the database up to date (${later.join(", ")}): use that version's command`;
  }
  const missing = migrationNames.filter((name) => !done.includes(name));
  if (missing.length === 0) return undefined;
  const problem = findUpgradeProblem(done);
  if (problem !== undefined) return problem;
  return `the database is of an earlier version (${missing.join(", ")} is to come): start this version's service on it first`;
}

async function listMigrations(db: Kysely<Tables>): Promise<readonly string[]> {
  try {
    const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
    return rows.map(({ name }) => name);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === undefinedTableCode) return [];
    throw error;
  }
}

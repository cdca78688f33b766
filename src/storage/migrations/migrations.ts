/**
 * The migrations: what brings the tables of a database up to date.
 *
 * A new database gets the baseline and is marked with all names, so that an earlier version knows its tables too. A
 * database that has all squashed names gets the upgrades that it lacks. A released migration is not edited; a new one
 * is added to `upgrades` and to the baseline, and the schema test compares both ways with `schema.sql`.
 */
import type { Migration } from "kysely/migration";
import { baseline } from "./baseline.ts";
import type { PreparedMigration } from "./partition-history.ts";
import { upgrades } from "./upgrades.ts";

/** Chooses the migrations of a database, by name, from the names of those that it has run. Throws where there is no way. */
export type MigrationsFor = (done: readonly string[]) => Readonly<Record<string, PreparedMigration>>;

/** The names whose steps are kept in the baseline alone. */
const squashed = [
  "0001-first-tables",
  "0002-idempotency-keys",
  "0003-list-executions",
  "0004-origins",
  "0005-running-time",
  "0006-seal-keys",
  "0007-ownership",
  "0008-tenants",
  "0009-key-life",
  "0010-workflow-life",
  "0011-draft-tests",
  "0012-fair-queue",
  "0013-history",
  "0014-draft-retention",
  "0015-process-names",
];

const nothing: Migration = { up: async () => {} };

/** All names, in order. */
export const migrationNames: readonly string[] = [...squashed, ...Object.keys(upgrades)];

export const migrationsFor: MigrationsFor = (done) => {
  const problem = findUpgradeProblem(done);
  if (problem !== undefined) {
    throw new Error(problem);
  }
  const marks = Object.fromEntries(migrationNames.map((name) => [name, nothing]));
  return done.length === 0 ? { ...marks, "0001-first-tables": baseline } : { ...marks, ...upgrades };
};

/** Finds why this version cannot bring a database up to date that has run these migrations; undefined where it can. */
export function findUpgradeProblem(done: readonly string[]): string | undefined {
  const missing = squashed.filter((name) => !done.includes(name));
  if (done.length === 0 || missing.length === 0) {
    return undefined;
  }
  return (
    `the database's tables are older than this version can upgrade (${missing.join(", ")} missing): ` +
    "start the version of commit 25bff98 on the database once, stop it, and then start this version"
  );
}

import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** What is over stays readable, and stands in nobody's way. */
export const history: Migration = {
  up: async (db) => {
    for (const statement of statements) await statement.execute(db);
  },
};

const statements = [
  // A workflow holds its integration for as long as it is there itself. A deleted one keeps the slug for its executions,
  // of an integration that may be gone.
  sql`alter table workflow add column live_slug text collate "C"
    generated always as (case when delete_time is null then slug end) stored`,
  sql`alter table workflow
    drop constraint workflow_integration,
    add constraint workflow_integration foreign key (environment_id, live_slug) references integration`,
];

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
  // Orders that changes are listed in, each of one column. Expressions, for the reason that `0003-list-executions` gives.
  sql`create index audit_event_of_resource on audit_event ((environment_id || '/' || resource), create_time, id)`,
  sql`create index audit_event_of_key on audit_event ((environment_id || '/' || key_id), create_time, id)`,
  sql`create index audit_event_of_action on audit_event ((environment_id || '/' || action), create_time, id)`,
];

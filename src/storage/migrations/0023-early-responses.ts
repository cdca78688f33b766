import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** A response is there from the commit that records its Response node, which may be long before the end; and it stays. */
export const earlyResponses: Migration = {
  up: async (db) => {
    for (const statement of statements) await statement.execute(db);
  },
};

const statements = [
  // The name that Postgres gave to the second check of the table. Not validated: what is there kept to a stricter one.
  sql`alter table execution
    drop constraint execution_check1,
    add constraint execution_error_at_end check (state is not null or error is null) not valid`,
  // A process of an earlier version, which may run for a while yet, writes over it when it stops an execution.
  sql`create function flowcall_keep_response() returns trigger language plpgsql as $$
    begin
      new.response := old.response;
      new.status_code := old.status_code;
      return new;
    end
  $$`,
  sql`create trigger execution_response_is_final before update on execution for each row
    when (old.response is not null and (new.response, new.status_code) is distinct from (old.response, old.status_code))
    execute function flowcall_keep_response()`,
];

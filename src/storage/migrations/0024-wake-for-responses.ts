import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/**
 * Before early responses an execution that slept behind its Response node had no response, and one that is stopped or
 * grows too old before it wakes never has. So what sleeps and may be such a one is woken within ten minutes, in which an
 * upgrade is over: the run records the response, waits for what is left of its wait, and sleeps on.
 */
export const wakeForResponses: Migration = {
  up: async (db) => {
    await sql`update execution_claim as claim
      set due_time = least(claim.due_time, now() + random() * interval '10 minutes'), due_set_time = null,
          -- The wait is not over by the time of this one.
          wake_time = null
      from execution join workflow_version as version
        on version.environment_id = execution.environment_id and version.workflow_id = execution.workflow_id
          and version.version = execution.version
      where claim.owner is null and claim.due_time > now()
        and execution.id = claim.execution_id and execution.response is null
        and version.definition like '%"response"%'
        and exists (select from journal where journal.execution_id = claim.execution_id)`.execute(db);
  },
};

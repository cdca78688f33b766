import { type RawBuilder, sql } from "kysely";

/** The columns that `outbox` reads of ended executions. */
export const endedColumns = sql`execution.id, execution.environment_id, execution.workflow_id, execution.source,
  execution.state, execution.headers`;

/**
 * A part of the statement that ends executions (transactional outbox): a delivery for each endpoint that is
 * to be told. `ended` has the columns of `endedColumns`. An id begins with its second, and is the same for one end and endpoint.
 */
export const outboxInsert = sql<{ endpoint_id: string }>`(
  insert into webhook_delivery (environment_id, endpoint_id, id, execution_id, event, due_time)
  select endpoint.environment_id, endpoint.id,
         lpad(to_hex(extract(epoch from now())::bigint), 8, '0') || substr(md5(ended.id || '/' || endpoint.id), 1, 16),
         ended.id, 'execution.' || lower(ended.state), now()
    from ended join webhook_endpoint as endpoint
      on endpoint.environment_id = ended.environment_id and endpoint.is_enabled
   where (
       ended.state = any(endpoint.states)
         and (endpoint.workflow_ids is null or ended.workflow_id = any(endpoint.workflow_ids))
         and (endpoint.slugs is null or (
           select workflow.slug from workflow
            where workflow.environment_id = ended.environment_id and workflow.id = ended.workflow_id
         ) = any(endpoint.slugs))
         and case when endpoint.sources is null then ended.source <> 'TEST' else ended.source = any(endpoint.sources) end
     )
     -- The endpoint that the call named.
     or (ended.source = 'API_CALL' and endpoint.id = ended.headers::json ->> 'webhook')
  on conflict do nothing returning endpoint_id
)`;

/** The same as a common table expression. */
export const outbox: RawBuilder<unknown> = sql`outbox as ${outboxInsert}`;

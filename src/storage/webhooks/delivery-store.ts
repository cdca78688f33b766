import { type Kysely, type Selectable, sql } from "kysely";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { AccessScope, EnvironmentKind } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { WebhookDelivery } from "../../domain/webhooks/webhook.ts";
import { cautiousNow } from "../postgres/database-clock.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { nameTokenOf, parseNameToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import { recordChange } from "../tenants/record-change.ts";
import { parseSettings, resourceOf } from "./endpoint-store.ts";

/** The row of an execution that has ended, as a delivery says it. */
export type EndedRow = Pick<
  Selectable<Tables["execution"]>,
  "workflow_id" | "linked_account_id" | "config_id" | "tag" | "source" | "state" | "error" | "create_time" | "end_time"
> & {
  readonly slug: string;
  readonly workflow_name: string;
  readonly response: JsonText | null;
  readonly bytes: number;
};

/** A delivery to make now. Nobody else makes it until `holdMs` are over. */
export type DueDelivery = Pick<WebhookDelivery, "id" | "endpointId" | "executionId" | "event" | "attempts"> & {
  readonly environmentId: string;
  readonly environment: EnvironmentKind;
  readonly url: string;
  readonly sealed: string;
  readonly settings: ReturnType<typeof parseSettings>;
  /** Null where the execution has been deleted. */
  readonly ended: EndedRow | null;
};

/** What came of an attempt. */
export type AttemptResult = Pick<DueDelivery, "environmentId" | "endpointId" | "id" | "attempts"> & {
  readonly isDelivered: boolean;
  /** When to try again; absent where it is given up or delivered. */
  readonly nextMs?: number;
  readonly status?: number;
  readonly error?: string;
  readonly answer?: string;
  /** Why the endpoint is to be told of nothing more. */
  readonly disableReason?: string;
};

/** An endpoint whose deliveries have all failed for so long is disabled. */
const failingDaysMax = 5;

/** Longer responses are not sent. */
const responseBytesMax = 64 * 1024;

/** The outbox, of which all processes make deliveries. */
export class DeliveryStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Takes deliveries that are due, at most `perEndpoint` of each endpoint but for those that are `busy`, and holds them. */
  async take({
    limit,
    perEndpoint,
    busy,
    holdMs,
  }: {
    readonly limit: number;
    readonly perEndpoint: number;
    readonly busy: readonly string[];
    readonly holdMs: number;
  }): Promise<readonly DueDelivery[]> {
    const { rows } = await sql<DueRow>`
      with due as materialized (
        select delivery.* from webhook_endpoint as endpoint cross join lateral (
          select environment_id, endpoint_id, id from webhook_delivery
           where environment_id = endpoint.environment_id and endpoint_id = endpoint.id and due_time <= now()
           order by due_time limit ${perEndpoint} for update skip locked
        ) as delivery
         where exists (select from webhook_delivery where due_time <= now())
           and endpoint.is_enabled and endpoint.environment_id || '/' || endpoint.id <> all(${busy}::text[])
         limit ${limit}
      ), taken as (
        update webhook_delivery as delivery
           set attempts = attempts + 1, due_time = now() + make_interval(secs => ${holdMs / 1000})
          from due where delivery.environment_id = due.environment_id and delivery.endpoint_id = due.endpoint_id
            and delivery.id = due.id
        returning delivery.*
      )
      select taken.environment_id, taken.endpoint_id, taken.id, taken.execution_id, taken.event, taken.attempts,
             endpoint.url, endpoint.sealed, endpoint.settings, environment.kind,
             (select json_build_object('workflow_id', workflow_id, 'linked_account_id', linked_account_id, 'config_id',
                config_id, 'tag', tag, 'source', source, 'state', state, 'error', error, 'create_time', create_time,
                'end_time', end_time, 'bytes', coalesce(octet_length(response), 0),
                'response', case when octet_length(response) <= ${responseBytesMax} then response end,
                'slug', (select slug from workflow where workflow.environment_id = execution.environment_id
                  and workflow.id = execution.workflow_id),
                'workflow_name', (select name from workflow where workflow.environment_id = execution.environment_id
                  and workflow.id = execution.workflow_id))
                from execution
               where execution.id = taken.execution_id and execution.environment_id = taken.environment_id) as ended
        from taken join webhook_endpoint as endpoint
          on endpoint.environment_id = taken.environment_id and endpoint.id = taken.endpoint_id
        join environment on environment.id = taken.environment_id`.execute(this.#db);
    return rows.map((row) => ({
      environmentId: row.environment_id,
      endpointId: row.endpoint_id,
      id: row.id,
      executionId: row.execution_id,
      event: row.event,
      attempts: row.attempts,
      environment: row.kind,
      url: row.url,
      sealed: row.sealed,
      settings: parseSettings(row.settings),
      ended: row.ended,
    }));
  }

  /** Records an attempt, unless the delivery was taken anew since. */
  async settle(result: AttemptResult): Promise<void> {
    const { environmentId, endpointId, id, attempts, isDelivered, nextMs, disableReason } = result;
    await this.#db.transaction().execute(async (transaction) => {
      const { numUpdatedRows } = await transaction
        .updateTable("webhook_delivery")
        .set({
          is_delivered: isDelivered,
          due_time: nextMs === undefined ? null : sql<Date>`now() + make_interval(secs => ${nextMs / 1000})`,
          status: result.status ?? null,
          error: result.error ?? null,
          answer: result.answer ?? null,
          end_time: nextMs === undefined ? sql<Date>`now()` : null,
        })
        .where("environment_id", "=", environmentId)
        .where("endpoint_id", "=", endpointId)
        .where("id", "=", id)
        .where("attempts", "=", attempts)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) {
        return;
      }
      const { rows } = await sql<{ disable_reason: string | null }>`
        update webhook_endpoint as endpoint
           set failing_since = case when ${isDelivered} then null else coalesce(failing_since, now()) end,
               is_enabled = ${disableReason === undefined} and (${isDelivered} or failing_since is null
                 or failing_since > now() - make_interval(days => ${failingDaysMax})),
               disable_reason = coalesce(${disableReason ?? null}, case when not ${isDelivered} and failing_since
                 <= now() - make_interval(days => ${failingDaysMax}) then 'All deliveries failed for five days.' end)
         where environment_id = ${environmentId} and id = ${endpointId} and is_enabled
           and (not ${isDelivered} or failing_since is not null)
        returning disable_reason`.execute(transaction);
      if (typeof rows[0]?.disable_reason === "string") {
        const actor = { environmentId, keyId: "webhooks" };
        await recordChange(transaction, actor, { action: "UPDATE", resource: resourceOf(endpointId) });
      }
    });
  }

  /** Lists the deliveries of an endpoint, newest first. Throws VALIDATION_ERROR for a bad page token. */
  async list(
    { environmentId }: AccessScope,
    endpointId: string,
    asked: Page,
  ): Promise<{ readonly deliveries: readonly WebhookDelivery[]; readonly nextPageToken?: string }> {
    const filters = { of: "webhook_delivery", environmentId, endpointId };
    const rows = await this.#db
      .selectFrom("webhook_delivery")
      .selectAll()
      .where("environment_id", "=", environmentId)
      .where("endpoint_id", "=", endpointId)
      .where("id", "<", asked.pageToken === undefined ? "g" : parseNameToken(asked.pageToken, filters))
      .orderBy("id", "desc")
      .limit(asked.pageSize + 1)
      .execute();
    const { page, next } = cutPage(rows, asked, (last) => nameTokenOf(last.id, filters));
    return { deliveries: page.map(toDelivery), ...next };
  }

  /** Makes a delivery again, from its first attempt on. Throws RESOURCE_NOT_FOUND. */
  async redeliver({ environmentId }: AccessScope, endpointId: string, id: string): Promise<WebhookDelivery> {
    const row = await this.#db
      .updateTable("webhook_delivery")
      .set({ attempts: 0, due_time: sql<Date>`now()`, is_delivered: false, end_time: null })
      .where("environment_id", "=", environmentId)
      .where("endpoint_id", "=", endpointId)
      .where("id", "=", id)
      .returningAll()
      .executeTakeFirst();
    if (row === undefined) {
      throw new RequestError("RESOURCE_NOT_FOUND", "The endpoint has no such delivery.", {
        metadata: { delivery_id: id },
      });
    }
    return toDelivery(row);
  }

  /** Milliseconds until the next delivery is due; undefined where none is. */
  async dueInMs(): Promise<number | undefined> {
    const { rows } = await sql<{ ms: number | null }>`
      select (extract(epoch from min(due_time) - now()) * 1000)::float8 as ms from webhook_delivery
       where due_time is not null`.execute(this.#db);
    return rows[0]?.ms ?? undefined;
  }

  /** Deletes deliveries that ended longer ago than `ms`, at most `limit`. */
  async clear({ ms, limit }: { readonly ms: number; readonly limit: number }): Promise<void> {
    await sql`
      delete from webhook_delivery where (environment_id, endpoint_id, id) in (
        select environment_id, endpoint_id, id from webhook_delivery
         where end_time < ${cautiousNow()} - make_interval(secs => ${ms / 1000}) order by end_time limit ${limit}
      )`.execute(this.#db);
  }
}

type DueRow = {
  readonly environment_id: string;
  readonly endpoint_id: string;
  readonly id: string;
  readonly execution_id: string;
  readonly event: string;
  readonly attempts: number;
  readonly url: string;
  readonly sealed: string;
  readonly settings: string;
  readonly kind: EnvironmentKind;
  readonly ended: EndedRow | null;
};

function toDelivery(row: Selectable<Tables["webhook_delivery"]>): WebhookDelivery {
  const { id, event, attempts, due_time, status, error, answer, end_time } = row;
  return {
    ...{ id, event, attempts, endpointId: row.endpoint_id, executionId: row.execution_id },
    isDelivered: row.is_delivered,
    ...(due_time !== null && { dueTime: due_time }),
    ...(status !== null && { status }),
    ...(error !== null && { error }),
    ...(answer !== null && { answer }),
    createTime: row.create_time,
    ...(end_time !== null && { endTime: end_time }),
  };
}

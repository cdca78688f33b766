import { type Kysely, type Selectable, sql, type Transaction } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import type { ExecutionSource, TerminalState } from "../../domain/execution.ts";
import { etagMismatch } from "../../domain/http/etag-mismatch.ts";
import type { AccessScope } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { WebhookEndpoint, WebhookSettings } from "../../domain/webhooks/webhook.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { nameTokenOf, parseNameToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import type { Sealed } from "../tenants/connection-store.ts";
import { recordChange } from "../tenants/record-change.ts";

export type NewEndpoint = WebhookSettings & { readonly expectedRevisions?: readonly number[] };

type EndpointRow = Omit<Selectable<Tables["webhook_endpoint"]>, "sealed" | "sealed_by" | "failing_since">;

const columns = [
  ...(["environment_id", "id", "url", "states", "workflow_ids", "slugs", "sources", "settings"] as const),
  ...(["is_enabled", "disable_reason", "revision", "create_time", "update_time"] as const),
] as const;

/** Who is told of the ends of executions, as callers see and set it. This class cannot decrypt secrets. */
export class EndpointStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /**
   * Creates an endpoint or replaces its settings; at most `max` may be in an environment. `seal` makes its secrets of those that
   * it had. Throws ETAG_MISMATCH, WEBHOOK_ENDPOINTS_FULL and what `seal` throws.
   */
  async put(
    actor: Actor,
    { expectedRevisions, ...settings }: NewEndpoint,
    { max, seal }: { readonly max: number; readonly seal: (earlier: Sealed | undefined) => Sealed },
  ): Promise<WebhookEndpoint> {
    return await this.#db.transaction().execute(async (transaction) => {
      const found = await lock(transaction, actor, settings.id);
      const isExpected =
        expectedRevisions === undefined ||
        (found === undefined ? expectedRevisions.length === 0 : expectedRevisions.includes(found.revision));
      if (!isExpected) {
        throw etagMismatch({ resource: resourceOf(settings.id) });
      }
      if (found === undefined) {
        await requirePlace(transaction, actor, max);
      }
      const action = found === undefined ? "CREATE" : "UPDATE";
      await recordChange(transaction, actor, { action, resource: resourceOf(settings.id) });
      const { sealed, sealedBy } = seal(found && { sealed: found.sealed, sealedBy: found.sealed_by });
      const values = { ...toColumns(settings), sealed, sealed_by: sealedBy, disable_reason: null, failing_since: null };
      const row = await transaction
        .insertInto("webhook_endpoint")
        .values({ environment_id: actor.environmentId, id: settings.id, ...values })
        .onConflict((conflict) =>
          conflict.columns(["environment_id", "id"]).doUpdateSet({
            ...values,
            revision: sql<number>`webhook_endpoint.revision + 1`,
            update_time: sql<Date>`now()`,
          }),
        )
        .returning(columns)
        .executeTakeFirstOrThrow();
      return toEndpoint(row);
    });
  }

  /** Replaces the secrets of an endpoint. Throws RESOURCE_NOT_FOUND. */
  async rotate(actor: Actor, id: string, seal: (earlier: Sealed) => Sealed): Promise<void> {
    await this.#db.transaction().execute(async (transaction) => {
      const found = await lock(transaction, actor, id);
      if (found === undefined) {
        throw endpointNotFound(id);
      }
      const { sealed, sealedBy } = seal({ sealed: found.sealed, sealedBy: found.sealed_by });
      await recordChange(transaction, actor, { action: "ROTATE", resource: resourceOf(id) });
      await transaction
        .updateTable("webhook_endpoint")
        .set({ sealed, sealed_by: sealedBy })
        .where("environment_id", "=", actor.environmentId)
        .where("id", "=", id)
        .execute();
    });
  }

  /** Throws RESOURCE_NOT_FOUND. */
  async get({ environmentId }: AccessScope, id: string): Promise<WebhookEndpoint> {
    const row = await this.#db
      .selectFrom("webhook_endpoint")
      .select(columns)
      .where("environment_id", "=", environmentId)
      .where("id", "=", id)
      .executeTakeFirst();
    if (row === undefined) {
      throw endpointNotFound(id);
    }
    return toEndpoint(row);
  }

  /** Lists endpoints by id. Throws VALIDATION_ERROR for a bad page token. */
  async list(
    { environmentId }: AccessScope,
    asked: Page,
  ): Promise<{ readonly endpoints: readonly WebhookEndpoint[]; readonly nextPageToken?: string }> {
    const filters = { of: "webhook_endpoint", environmentId };
    const rows = await this.#db
      .selectFrom("webhook_endpoint")
      .select(columns)
      .where("environment_id", "=", environmentId)
      .where("id", ">", asked.pageToken === undefined ? "" : parseNameToken(asked.pageToken, filters))
      .orderBy("id")
      .limit(asked.pageSize + 1)
      .execute();
    const { page, next } = cutPage(rows, asked, (last) => nameTokenOf(last.id, filters));
    return { endpoints: page.map(toEndpoint), ...next };
  }

  /** Deletes an endpoint with its deliveries. Throws RESOURCE_NOT_FOUND. */
  async delete(actor: Actor, id: string): Promise<void> {
    await this.#db.transaction().execute(async (transaction) => {
      const { numDeletedRows } = await transaction
        .deleteFrom("webhook_endpoint")
        .where("environment_id", "=", actor.environmentId)
        .where("id", "=", id)
        .executeTakeFirst();
      if (numDeletedRows === 0n) {
        throw endpointNotFound(id);
      }
      await recordChange(transaction, actor, { action: "DELETE", resource: resourceOf(id) });
    });
  }
}

async function lock(transaction: Transaction<Tables>, { environmentId }: Actor, id: string) {
  return await transaction
    .selectFrom("webhook_endpoint")
    .select(["revision", "sealed", "sealed_by"])
    .where("environment_id", "=", environmentId)
    .where("id", "=", id)
    .forUpdate()
    .executeTakeFirst();
}

async function requirePlace(transaction: Transaction<Tables>, { environmentId }: Actor, max: number): Promise<void> {
  const { count } = await transaction
    .selectFrom("webhook_endpoint")
    .select(({ fn }) => fn.countAll<string>().as("count"))
    .where("environment_id", "=", environmentId)
    .executeTakeFirstOrThrow();
  if (Number(count) >= max) {
    throw new RequestError("WEBHOOK_ENDPOINTS_FULL", `The environment has ${count} endpoints of at most ${max}.`, {
      metadata: { limit: "webhook_endpoints", value: String(max) },
    });
  }
}

function toColumns(settings: WebhookSettings) {
  const { url, states, workflowIds, slugs, sources, isEnabled, ...rest } = settings;
  const { method, includesResponse, hasCobaltSignature, headerNames } = rest;
  return {
    url,
    states,
    workflow_ids: workflowIds ?? null,
    slugs: slugs ?? null,
    sources: sources ?? null,
    settings: JSON.stringify({ method, includesResponse, hasCobaltSignature, headerNames }),
    is_enabled: isEnabled,
  };
}

/** How an endpoint's requests are made, as `toColumns` wrote it. */
export function parseSettings(text: string) {
  return JSON.parse(text) as Pick<
    WebhookSettings,
    "method" | "includesResponse" | "hasCobaltSignature" | "headerNames"
  >;
}

function toEndpoint(row: EndpointRow): WebhookEndpoint {
  const { id, url, workflow_ids, slugs, disable_reason } = row;
  return {
    ...{ id, url, ...parseSettings(row.settings) },
    // `toColumns` wrote them.
    states: row.states as readonly TerminalState[],
    ...(workflow_ids !== null && { workflowIds: workflow_ids }),
    ...(slugs !== null && { slugs }),
    ...(row.sources !== null && { sources: row.sources as readonly ExecutionSource[] }),
    isEnabled: row.is_enabled,
    ...(disable_reason !== null && { disableReason: disable_reason }),
    revision: row.revision,
    createTime: row.create_time,
    updateTime: row.update_time,
  };
}

export function resourceOf(id: string): string {
  return `webhook-endpoint/${id}`;
}

function endpointNotFound(id: string): RequestError {
  return new RequestError("RESOURCE_NOT_FOUND", `The environment has no webhook endpoint "${id}".`, {
    metadata: { endpoint_id: id },
  });
}

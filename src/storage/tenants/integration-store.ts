import { type Kysely, type Selectable, sql } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import { etagMismatch } from "../../domain/http/etag-mismatch.ts";
import { RequestError } from "../../domain/request-error.ts";
import { anyOf } from "../postgres/any-of.ts";
import { brokenConstraint } from "../postgres/database-errors.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { nameTokenOf, parseNameToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import { integrationNotFound } from "./integration-not-found.ts";
import { auditEvent } from "./record-change.ts";
import { deleteRecorded } from "./recorded-statements.ts";

export type IntegrationContent = {
  readonly slug: string;
  readonly name: string;
  /** JSON text of an array of FieldDeclaration. */
  readonly fields: string;
  /** JSON text of what it says of its API. */
  readonly api: string;
};

/** An integration. `revision` counts its changes. */
export type IntegrationRecord = IntegrationContent & {
  readonly revision: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

const columns = ["slug", "name", "fields", "api", "revision", "create_time", "update_time"] as const;

/** Integrations, to which workflows, configurations and connections belong. */
export class IntegrationStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Throws INTEGRATION_EXISTS. */
  async create(actor: Actor, integration: IntegrationContent): Promise<IntegrationRecord> {
    const { slug } = integration;
    const row = await this.#db
      .with("changed", (query) =>
        query
          .insertInto("integration")
          .values({ environment_id: actor.environmentId, ...integration })
          .onConflict((conflict) => conflict.columns(["environment_id", "slug"]).doNothing())
          .returning(columns),
      )
      .with("audited", () => auditEvent(actor, { from: "changed", action: "CREATE", resource: resourceOf(slug) }))
      .selectFrom("changed")
      .selectAll()
      .executeTakeFirst();
    if (row === undefined) {
      throw exists(slug);
    }
    return toRecord(row);
  }

  /** Lists integrations by slug. Throws VALIDATION_ERROR for a bad page token. */
  async list(
    environmentId: string,
    asked: Page,
  ): Promise<{ readonly integrations: readonly IntegrationRecord[]; readonly nextPageToken?: string }> {
    const filters = { of: "integration", environmentId };
    const rows = await this.#db
      .selectFrom("integration")
      .select(columns)
      .where("environment_id", "=", environmentId)
      .where("slug", ">", asked.pageToken === undefined ? "" : parseNameToken(asked.pageToken, filters))
      .orderBy("slug")
      .limit(asked.pageSize + 1)
      .execute();
    const { page, next } = cutPage(rows, asked, (last) => nameTokenOf(last.slug, filters));
    return { integrations: page.map(toRecord), ...next };
  }

  /** Throws INTEGRATION_NOT_FOUND. */
  async get(environmentId: string, slug: string): Promise<IntegrationRecord> {
    const row = await this.#db
      .selectFrom("integration")
      .select(columns)
      .where("environment_id", "=", environmentId)
      .where("slug", "=", slug)
      .executeTakeFirst();
    if (row === undefined) {
      throw integrationNotFound(slug);
    }
    return toRecord(row);
  }

  /** Throws INTEGRATION_NOT_FOUND and ETAG_MISMATCH. */
  async update(
    actor: Actor,
    { slug, expectedRevisions, ...content }: IntegrationContent & { readonly expectedRevisions?: readonly number[] },
  ): Promise<IntegrationRecord> {
    const { environmentId } = actor;
    const updated = await this.#db
      .with("changed", (query) =>
        query
          .updateTable("integration")
          .set({ ...content, revision: sql`revision + 1`, update_time: sql`now()` })
          .where("environment_id", "=", environmentId)
          .where("slug", "=", slug)
          .$if(expectedRevisions !== undefined, (update) =>
            update.where("revision", "=", anyOf(expectedRevisions ?? [])),
          )
          .returning(columns),
      )
      .with("audited", () => auditEvent(actor, { from: "changed", action: "UPDATE", resource: resourceOf(slug) }))
      .selectFrom("changed")
      .selectAll()
      .executeTakeFirst();
    if (updated !== undefined) {
      return toRecord(updated);
    }
    await this.get(environmentId, slug);
    throw etagMismatch({ resource: resourceOf(slug) });
  }

  /**
   * Deletes an integration with its configurations and connections. Throws INTEGRATION_NOT_FOUND, and INTEGRATION_IN_USE
   * while it has workflows; deleted workflows keep its slug.
   */
  async delete(actor: Actor, slug: string): Promise<void> {
    try {
      await deleteRecorded(this.#db, actor, {
        table: "integration",
        key: { environment_id: actor.environmentId, slug },
        resource: resourceOf(slug),
        notFound: integrationNotFound(slug),
      });
    } catch (error) {
      if (brokenConstraint(error) !== "workflow_integration") {
        throw error;
      }
      throw RequestError.of("INTEGRATION_IN_USE", { metadata: { slug } });
    }
  }
}

function exists(slug: string): RequestError {
  return RequestError.of("INTEGRATION_EXISTS", { metadata: { slug } });
}

function resourceOf(slug: string): string {
  return `integration/${slug}`;
}

function toRecord(row: Pick<Selectable<Tables["integration"]>, (typeof columns)[number]>): IntegrationRecord {
  const { slug, name, fields, api, revision, create_time, update_time } = row;
  return { slug, name, fields, api, revision, createTime: create_time, updateTime: update_time };
}

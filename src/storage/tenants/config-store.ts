import type { JsonObject } from "@bufbuild/protobuf";
import type { Kysely, Selectable } from "kysely";
import type { Actor } from "../../domain/audit.ts";
import type { AccessScope } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import { isWithin } from "../postgres/access-scope.ts";
import { cutPage, type Page } from "../postgres/page.ts";
import { nameTokenOf, parseNameToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";
import { resourceOf as accountResource } from "./linked-account-store.ts";
import { configVersion } from "./read-set.ts";
import { deleteRecorded, putAccountSetting } from "./recorded-statements.ts";

/** The key of a configuration. An account may have several for one integration, with different ids. */
export type ConfigKey = { readonly accountId: string; readonly slug: string; readonly configId: string };

/** Values by field name: of the fields of the integration, and by workflow id of the fields of each workflow. */
export type ConfigValues = {
  readonly applicationFields: JsonObject;
  readonly workflowFields: Readonly<Record<string, JsonObject>>;
};

/** A configuration without its values. `revision` counts its changes. */
export type ConfigRecord = ConfigKey & {
  readonly revision: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

/** The fields that the templates of a run read: their declarations by the integration, and their values. */
export type RunFields = ConfigValues & {
  /** JSON text of an array of FieldDeclaration. */
  readonly declared: string;
  /** The version of what was read, for a read set. */
  readonly version: string;
};

const columns = ["account_id", "slug", "config_id", "revision", "create_time", "update_time"] as const;

/** Configurations: the values of linked accounts for the fields that integrations and workflows declare. */
export class ConfigStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Creates or replaces a configuration. Throws RESOURCE_NOT_FOUND, INTEGRATION_NOT_FOUND and ETAG_MISMATCH. */
  async put(
    actor: Actor,
    config: ConfigKey & ConfigValues & { readonly expectedRevisions?: readonly number[] },
  ): Promise<ConfigRecord> {
    const values = {
      application_fields: JSON.stringify(config.applicationFields),
      workflow_fields: JSON.stringify(config.workflowFields),
    };
    const row = await putAccountSetting<ConfigRow>(this.#db, actor, {
      table: "config",
      key: keyOf(actor, config),
      values,
      columns,
      resource: resourceOf(config),
      expectedRevisions: config.expectedRevisions,
    });
    return toRecord(row);
  }

  /** Lists an account's configurations by slug and id. Throws VALIDATION_ERROR for a bad page token. */
  async list(
    access: AccessScope,
    accountId: string,
    asked: Page,
  ): Promise<{ readonly configs: readonly ConfigRecord[]; readonly nextPageToken?: string }> {
    const filters = { of: "config", environmentId: access.environmentId, accountId };
    // A slug never contains a slash.
    const [slug = "", ...id] = asked.pageToken === undefined ? [] : parseNameToken(asked.pageToken, filters).split("/");
    const rows = await this.#select(access, accountId)
      .where(({ eb, refTuple, tuple }) => eb(refTuple("slug", "config_id"), ">", tuple(slug, id.join("/"))))
      .orderBy("slug")
      .orderBy("config_id")
      .limit(asked.pageSize + 1)
      .execute();
    const { page, next } = cutPage(rows, asked, (last) => nameTokenOf(`${last.slug}/${last.config_id}`, filters));
    return { configs: page.map(toRecord), ...next };
  }

  /** Throws RESOURCE_NOT_FOUND. */
  async get(access: AccessScope, key: ConfigKey): Promise<ConfigRecord & ConfigValues> {
    const row = await this.#select(access, key.accountId)
      .select(["application_fields", "workflow_fields"])
      .where("slug", "=", key.slug)
      .where("config_id", "=", key.configId)
      .executeTakeFirst();
    if (row === undefined) {
      throw configNotFound(key);
    }
    return { ...toRecord(row), ...toValues(row) };
  }

  /** Throws RESOURCE_NOT_FOUND. */
  async delete(actor: Actor, config: ConfigKey): Promise<void> {
    await deleteRecorded(this.#db, actor, {
      table: "config",
      key: keyOf(actor, config),
      resource: resourceOf(config),
      notFound: configNotFound(config),
    });
  }

  /** The fields that a run reads. No value is set where there is no such configuration. */
  async readForRun({ environmentId, ...key }: ConfigKey & { readonly environmentId: string }): Promise<RunFields> {
    const row = await this.#db
      .selectFrom("integration")
      .leftJoin("config", (join) =>
        join
          .onRef("config.environment_id", "=", "integration.environment_id")
          .onRef("config.slug", "=", "integration.slug")
          .on("config.account_id", "=", key.accountId)
          .on("config.config_id", "=", key.configId),
      )
      .select(["integration.fields", "config.application_fields", "config.workflow_fields"])
      .select(configVersion.as("version"))
      .where("integration.environment_id", "=", environmentId)
      .where("integration.slug", "=", key.slug)
      .executeTakeFirstOrThrow();
    const { fields, application_fields, workflow_fields, version } = row;
    const set = { application_fields: application_fields ?? "{}", workflow_fields: workflow_fields ?? "{}" };
    return { declared: fields, version, ...toValues(set) };
  }

  #select(access: AccessScope, accountId: string) {
    return this.#db
      .selectFrom("config")
      .select(columns)
      .where("environment_id", "=", access.environmentId)
      .where("account_id", "=", accountId)
      .where(isWithin(access, { account: "account_id" }));
  }
}

function keyOf({ environmentId }: Actor, { accountId, slug, configId }: ConfigKey) {
  return { environment_id: environmentId, account_id: accountId, slug, config_id: configId };
}

function resourceOf({ accountId, slug, configId }: ConfigKey): string {
  return `${accountResource(accountId)}/config/${slug}${configId === accountId ? "" : `#${configId}`}`;
}

function configNotFound({ accountId, slug, configId }: ConfigKey): RequestError {
  const message = `The linked account "${accountId}" has no configuration "${configId}" for the integration "${slug}".`;
  const metadata = { account_id: accountId, slug, config_id: configId };
  return new RequestError("RESOURCE_NOT_FOUND", message, { metadata });
}

type ValuesRow = Pick<Selectable<Tables["config"]>, "application_fields" | "workflow_fields">;

function toValues({ application_fields, workflow_fields }: ValuesRow): ConfigValues {
  // `put` wrote them from such objects.
  return {
    applicationFields: JSON.parse(application_fields) as JsonObject,
    workflowFields: JSON.parse(workflow_fields) as Record<string, JsonObject>,
  };
}

type ConfigRow = Pick<Selectable<Tables["config"]>, (typeof columns)[number]>;

function toRecord(row: ConfigRow): ConfigRecord {
  const { account_id, slug, config_id, revision, create_time, update_time } = row;
  return {
    accountId: account_id,
    slug,
    configId: config_id,
    revision,
    createTime: create_time,
    updateTime: update_time,
  };
}

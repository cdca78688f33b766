import { type ExpressionBuilder, type ExpressionWrapper, type Kysely, type SqlBool, sql } from "kysely";
import type { AuditEvent, AuditFilter } from "../../domain/audit.ts";
import { cutLooked, lookedMax, type Page } from "../postgres/page.ts";
import { type PagePosition, pageTokenOf, parsePageToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";

export type ListedAuditEvents = {
  readonly auditEvents: readonly AuditEvent[];
  /** Absent on the last page. A page may hold fewer than were asked for and have one all the same. */
  readonly nextPageToken?: string;
};

const columns = ["id", "key_id", "action", "resource", "create_time"] as const;

/** Who changed what, as `recordChange` kept it. */
export class AuditStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /**
   * Newest first. What a page costs does not depend on how many there are. Refuses with VALIDATION_ERROR a token that no
   * page of this list gave.
   */
  async list(filter: AuditFilter, asked: Page): Promise<ListedAuditEvents> {
    const filters = { of: "audit_event", ...filter };
    const after = asked.pageToken === undefined ? undefined : parsePageToken(asked.pageToken, filters);
    // Read along one index, and only as far as the page needs, as executions are listed.
    const looked = this.#db
      .selectFrom("audit_event")
      .select(columns)
      .select((row) => isMeant(filter)(row).as("is_meant"))
      .select(sql<boolean>`row_number() over (order by create_time desc, id desc) = ${lookedMax}`.as("is_last"))
      .where(isIndexed(filter))
      .where(isBehind(filter, after))
      .orderBy("create_time", "desc")
      .orderBy("id", "desc")
      .limit(lookedMax)
      .as("audit_event");
    const rows = await this.#db
      .selectFrom(looked)
      .select([...columns, "is_meant", "is_last"])
      .where(({ or }) => or([sql<boolean>`is_meant`, sql<boolean>`is_last`]))
      .orderBy("create_time", "desc")
      .orderBy("id", "desc")
      .limit(asked.pageSize + 1)
      .execute();
    const { page, next } = cutLooked(rows, asked, (last) =>
      pageTokenOf({ createTime: last.create_time, id: last.id }, filters),
    );
    const auditEvents = page.map(({ id, key_id, action, resource, create_time }) => ({
      id,
      keyId: key_id,
      action,
      resource,
      createTime: create_time,
    }));
    return { auditEvents, ...next };
  }
}

type Condition = (row: ExpressionBuilder<Tables, "audit_event">) => ExpressionWrapper<Tables, "audit_event", SqlBool>;

/** As much of the filter as one index answers. */
function isIndexed({ environmentId, resource, keyId, action }: AuditFilter): Condition {
  return (row) => {
    const narrow = (
      [
        ["resource", resource],
        ["key_id", keyId],
        ["action", action],
      ] as const
    ).find(([, value]) => value !== undefined);
    const inEnvironment = row("environment_id", "=", environmentId);
    if (narrow === undefined) return inEnvironment;
    const [column, value] = narrow;
    // Spelled as the index has it.
    const key = sql<string>`(environment_id || '/' || ${sql.ref(column)})`;
    return row.and([inEnvironment, row(key, "=", `${environmentId}/${value}`)]);
  };
}

/** The whole filter but for the times. */
function isMeant({ resource, keyId, action }: AuditFilter): Condition {
  return (row) =>
    row.and([
      ...(resource === undefined ? [] : [row("resource", "=", resource)]),
      ...(keyId === undefined ? [] : [row("key_id", "=", keyId)]),
      ...(action === undefined ? [] : [row("action", "=", action)]),
    ]);
}

/** The range of time, and what comes behind a place in the list. */
function isBehind({ createdSince, createdBefore }: AuditFilter, after?: PagePosition): Condition {
  return (row) =>
    row.and([
      ...(createdSince === undefined ? [] : [row("create_time", ">=", createdSince)]),
      ...(createdBefore === undefined ? [] : [row("create_time", "<", createdBefore)]),
      ...(after === undefined
        ? []
        : [row(row.refTuple("create_time", "id"), "<", row.tuple(after.createTime, after.id))]),
    ]);
}

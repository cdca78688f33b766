import { type ExpressionBuilder, type ExpressionWrapper, type Kysely, type SqlBool, sql } from "kysely";
import type { AuditEvent, AuditFilter } from "../../domain/audit.ts";
import { cutLooked, lookedMax, type Page } from "../postgres/page.ts";
import { type PagePosition, pageTokenOf, parsePageToken } from "../postgres/page-token.ts";
import type { Tables } from "../postgres/tables.ts";

export type ListedAuditEvents = {
  readonly auditEvents: readonly AuditEvent[];
  /** Absent on the last page. A page with fewer rows than asked for may have one. */
  readonly nextPageToken?: string;
};

const columns = ["id", "key_id", "action", "resource", "create_time"] as const;

/** The audit log: who changed what. */
export class AuditStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Newest first; the cost of a page does not depend on the length of the list. Throws VALIDATION_ERROR for a bad token. */
  async list(filter: AuditFilter, asked: Page): Promise<ListedAuditEvents> {
    const filters = { of: "audit_event", ...filter };
    const after = asked.pageToken === undefined ? undefined : parsePageToken(asked.pageToken, filters);
    // Reads along one index, and only as far as the page needs, as `listExecutions` does.
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

/** The part of the filter that one index answers. */
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
    if (narrow === undefined) {
      return inEnvironment;
    }
    const [column, value] = narrow;
    // Spelled as the expression index has it.
    const key = sql<string>`(environment_id || '/' || ${sql.ref(column)})`;
    return row.and([inEnvironment, row(key, "=", `${environmentId}/${value}`)]);
  };
}

/** The whole filter except the range of time. */
function isMeant({ resource, keyId, action }: AuditFilter): Condition {
  return (row) =>
    row.and([
      ...(resource === undefined ? [] : [row("resource", "=", resource)]),
      ...(keyId === undefined ? [] : [row("key_id", "=", keyId)]),
      ...(action === undefined ? [] : [row("action", "=", action)]),
    ]);
}

/** The range of time, and the rows behind the last one of the page before. */
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

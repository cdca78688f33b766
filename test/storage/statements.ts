import { type CompiledQuery, Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { pino } from "pino";
import { Pool } from "../../src/storage/postgres/pool.ts";
import type { Tables } from "../../src/storage/postgres/tables.ts";
import type { Stores } from "./fixture.ts";

/** The statements of a piece of work, as they are sent. */
export async function recordStatements(
  { connection }: Pick<Stores, "connection">,
  work: (db: Kysely<Tables>) => Promise<unknown>,
): Promise<readonly CompiledQuery[]> {
  const statements: CompiledQuery[] = [];
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({
      pool: new Pool({ connection: () => connection, log: pino({ level: "silent" }), max: 1 }),
    }),
    log: ({ query }) => void statements.push(query),
  });
  await work(db);
  await db.destroy();
  return statements;
}

/** How a statement is planned once for all its values, as the pool prepares it, and, with those options, how it went. */
export async function explain({ db }: Pick<Stores, "db">, statement: CompiledQuery, options = ""): Promise<string> {
  return await db.connection().execute(async (connection) => {
    const send = async (text: string) =>
      await connection.executeQuery<{ "QUERY PLAN": string }>({ ...statement, sql: text, parameters: [] });
    await send(`prepare explained as ${statement.sql}`);
    try {
      const values = statement.parameters.map(literalOf).join(", ");
      const { rows } = await send(`explain ${options} execute explained${values === "" ? "" : `(${values})`}`);
      return rows.map((row) => row["QUERY PLAN"]).join("\n");
    } finally {
      await send("deallocate explained");
    }
  });
}

/** A value of a statement as an SQL literal. Lists contain only texts, numbers and nulls. */
function literalOf(value: unknown): string {
  if (value === null || value === undefined) {
    return "null";
  }
  if (value instanceof Date) {
    return pg.escapeLiteral(value.toISOString());
  }
  if (Array.isArray(value)) {
    const items = value.map((item) => (item === null || item === undefined ? "null" : JSON.stringify(String(item))));
    return pg.escapeLiteral(`{${items.join()}}`);
  }
  return pg.escapeLiteral(typeof value === "object" ? JSON.stringify(value) : String(value));
}

/** How a statement went, and the most rows that a step of it gave, or read and threw away. */
export async function rowsRead(stores: Pick<Stores, "db">, statement: CompiledQuery) {
  const plan = await explain(stores, statement, "(analyze, costs off, timing off)");
  const counts = [...plan.matchAll(/(?:rows=|Removed by Filter: )(\d+)/g)].map(([, count]) => Number(count));
  return { plan, rows: Math.max(0, ...counts) };
}

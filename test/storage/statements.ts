import { type CompiledQuery, Kysely, PostgresDialect } from "kysely";
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

/** How a statement is planned, and, with those options, how it went. */
export async function explain({ db }: Pick<Stores, "db">, statement: CompiledQuery, options = ""): Promise<string> {
  const { rows } = await db.executeQuery<{ "QUERY PLAN": string }>({
    ...statement,
    sql: `explain ${options} ${statement.sql}`,
  });
  return rows.map((row) => row["QUERY PLAN"]).join("\n");
}

/** How a statement went, and the most rows that a step of it gave, or read and threw away. */
export async function rowsRead(stores: Pick<Stores, "db">, statement: CompiledQuery) {
  const plan = await explain(stores, statement, "(analyze, costs off, timing off)");
  const counts = [...plan.matchAll(/(?:rows=|Removed by Filter: )(\d+)/g)].map(([, count]) => Number(count));
  return { plan, rows: Math.max(0, ...counts) };
}

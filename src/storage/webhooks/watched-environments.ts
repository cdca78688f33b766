import { type Kysely, sql } from "kysely";
import type { Tables } from "../postgres/tables.ts";

/** What was read is relied on for this long. So long after a new endpoint all processes know it, or look in each statement. */
export const knownMs = 2_000;

/**
 * Knows the environments with endpoints, so that the end of an execution of another one costs nothing. A process that could
 * not ask for a while knows nothing, and looks for endpoints in the statement that ends an execution.
 */
export class WatchedEnvironments {
  readonly #db: Kysely<Tables>;
  #ids: ReadonlySet<string> = new Set();
  #askTime = Number.NEGATIVE_INFINITY;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async refresh(): Promise<void> {
    const askTime = performance.now();
    const { rows } = await sql<{ id: string }>`
      select distinct environment_id as id from webhook_endpoint where is_enabled`.execute(this.#db);
    this.#ids = new Set(rows.map(({ id }) => id));
    this.#askTime = askTime;
  }

  /** Whether somebody may have to be told of an end in one of these environments. */
  mayHaveEndpoint(environmentIds: Iterable<string>): boolean {
    if (performance.now() - this.#askTime > knownMs) {
      return true;
    }
    return this.#ids.size > 0 && [...environmentIds].some((id) => this.#ids.has(id));
  }
}

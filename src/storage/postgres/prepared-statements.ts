import { createHash } from "node:crypto";

/**
 * How many statements are prepared, and how long each may be. The service has fewer; the filters of lists give some of them
 * several forms. Each takes some kilobytes of memory on each connection.
 */
const statementsMax = 300;
const charsMax = 20_000;

/** "prepared statement does not exist", and "cached plan must not change result type". */
const staleCodes: ReadonlySet<string> = new Set(["26000", "0A000"]);

/**
 * Gives names to prepared statements. Postgres parses and plans a statement without a name each time, which takes longer
 * than most of ours take to run. A named statement is parsed once for each connection, and planned once
 * (`plan_cache_mode=force_generic_plan`).
 *
 * https://www.postgresql.org/docs/current/sql-prepare.html
 */
export class PreparedStatements {
  readonly #names = new Map<string, string | undefined>();

  /** Undefined if the statement comes for the first time, or there are too many. */
  nameOf(text: string): string | undefined {
    const name = this.#names.get(text);
    if (name !== undefined || text.length > charsMax) {
      return name;
    }
    if (this.#names.has(text)) {
      // A hash of the text: behind a connection pooler, several processes may share a connection.
      const hashed = `flowcall_${createHash("sha256").update(text).digest("hex").slice(0, 32)}`;
      this.#names.set(text, hashed);
      return hashed;
    }
    if (this.#names.size < statementsMax) {
      this.#names.set(text, undefined);
    }
    return undefined;
  }

  /** Whether a statement failed before it ran, because it was prepared. It may be sent again without a name. */
  isStale(error: unknown): boolean {
    return error instanceof Error && "code" in error && staleCodes.has(String(error.code));
  }
}

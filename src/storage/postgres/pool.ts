import { createHash } from "node:crypto";
import { Socket } from "node:net";
import type { PostgresPool, PostgresPoolClient } from "kysely";
import pg from "pg";
import type { Logger } from "pino";
import type { Tenant } from "../../domain/account.ts";
import { settlesWithin } from "../../domain/deadline.ts";
import { RequestError } from "../../domain/request-error.ts";
import { ConnectionSemaphore, type Release } from "./connection-semaphore.ts";
import { isUnavailable } from "./database-errors.ts";

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
class PreparedStatements {
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

/** The options of `pg`, or one URL. */
export type DatabaseConnection = pg.PoolConfig | { readonly url: string };

export type PoolOptions = {
  /** Called for the first connection, since the embedded database's address is known only once it runs. */
  readonly connection: () => DatabaseConnection;
  readonly log: Logger;
  readonly max: number;
  /** Whether statements have no time limit, as migrations need. */
  readonly isPatient?: boolean;
  /** Set for a pool whose statements are so short that silence means a dead connection. */
  readonly watch?: Watch;
};

export type Watch = {
  /** A connection counts as lost after this long without an answer. */
  readonly answerMs: number;
  /** Called when a new connection gets no answer either, and once more when answers come again. */
  readonly onLost: () => void;
};

/** The server's limit ends first: a slow statement fails as an error, and only a dead connection as lost. */
const timeouts = { statement_timeout: 10_000, query_timeout: 15_000, idle_in_transaction_session_timeout: 10_000 };

/**
 * Keeps query plans from flipping. Every statement reads few rows in index order. The planner chooses sequential scans,
 * bitmaps and hash joins where its statistics come from a time when the table was smaller or empty. JIT compilation takes
 * longer than any of these statements.
 */
const planOptions = ["enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"]
  .map((name) => `-c ${name}=off`)
  .concat("-c plan_cache_mode=force_generic_plan")
  .join(" ");

const int8Oid = 20;

/** Connections may take this long to end. */
const endMs = 1_000;

/** Postgres answers this to a text with NUL, the only JavaScript character that it cannot store. */
const unstorableTextCode = "22021";

type Statement = { readonly text: string; readonly values: readonly unknown[]; readonly onStale: () => void };

/** A connection pool in which nothing waits for ever: neither for a connection, nor for an answer, nor for a transaction to end. */
export class Pool implements PostgresPool {
  /** Kysely reads these to cancel a statement, which nobody does here. */
  readonly options = {};
  readonly #options: PoolOptions;
  readonly #clients = new Set<pg.PoolClient>();
  readonly #sockets = new Set<Socket>();
  /** Answers in a row that did not come in time. */
  #silences = 0;
  readonly #semaphore: ConnectionSemaphore;
  readonly #prepared: PreparedStatements | undefined;
  #pool: pg.Pool | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#semaphore = new ConnectionSemaphore(options.max);
    // Migrations send each statement once.
    this.#prepared = options.isPatient ? undefined : new PreparedStatements();
  }

  /** @param caller absent for the process's own work */
  async connect(caller?: Tenant): Promise<PostgresPoolClient> {
    const releaseSlot = await this.#watched(this.#semaphore.acquire(caller));
    try {
      this.#pool ??= this.#open();
      return this.#wrap(await this.#watched(this.#pool.connect()), releaseSlot);
    } catch (error) {
      releaseSlot();
      throw error;
    }
  }

  #wrap(client: pg.PoolClient, releaseSlot: Release): PostgresPoolClient {
    let isLost = false;
    const query: unknown = async (text: string, values: readonly unknown[]) => {
      try {
        const onStale = () => {
          isLost = true;
        };
        return await this.#watched(this.#send(client, { text, values, onStale }));
      } catch (error) {
        // After a time-out the connection still waits for its answer, and the next user would wait as well.
        isLost ||= isUnavailable(error);
        if (error instanceof pg.DatabaseError) {
          // `detail` quotes whole rows, payloads too, and an error may be logged.
          error.detail = undefined;
          if (error.code === unstorableTextCode) {
            const message = "A text contains the character NUL (U+0000), which cannot be stored. Remove it.";
            throw new RequestError("VALIDATION_ERROR", message, { cause: error });
          }
        }
        throw error;
      }
    };
    return {
      // Kysely calls the overload with a cursor only where the dialect has one.
      query: query as PostgresPoolClient["query"],
      release: (discard) => {
        client.release(discard || isLost);
        releaseSlot();
      },
    };
  }

  /** @param statement `onStale` is called if the connection's prepared statements are of no more use */
  async #send(client: pg.PoolClient, { text, values, onStale }: Statement): Promise<pg.QueryResult> {
    const name = values.length === 0 ? undefined : this.#prepared?.nameOf(text);
    if (name === undefined) {
      return await client.query(text, [...values]);
    }
    const isAlone = client.getTransactionStatus() === "I";
    try {
      return await client.query({ name, text, values: [...values] });
    } catch (error) {
      if (this.#prepared?.isStale(error) !== true) {
        throw error;
      }
      onStale();
      // A transaction has failed as a whole, so its caller has to begin it again.
      if (!isAlone) {
        throw error;
      }
      return await client.query(text, [...values]);
    }
  }

  /**
   * Destroys all connections, those included that are being opened: what waits for an answer fails now. Where the network
   * drops packets, each statement would otherwise wait for its own time-out.
   */
  drop(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  /** Waits until the connections have ended, for which the pool of `pg` does not wait; gives up on a dead one. */
  async end(): Promise<void> {
    if (this.#pool === undefined || this.#pool.ending) {
      return;
    }
    const ended = [...this.#clients].map((client) => new Promise((resolve) => client.once("end", resolve)));
    await this.#pool.end();
    await settlesWithin(endMs, Promise.all(ended));
  }

  async #watched<T>(answer: Promise<T>): Promise<T> {
    const { watch } = this.#options;
    if (watch === undefined) {
      return await answer;
    }
    let isOver = false;
    const miss = () => {
      if (isOver) {
        return;
      }
      this.#silences += 1;
      this.drop();
      if (this.#silences > 1) {
        watch.onLost();
      }
    };
    // `setImmediate` reads the sockets first: in a busy process the answer may have arrived and lie there unread.
    const timer = setTimeout(() => setImmediate(miss), watch.answerMs);
    try {
      const result = await answer;
      if (this.#silences > 1) {
        watch.onLost();
      }
      this.#silences = 0;
      return result;
    } finally {
      isOver = true;
      clearTimeout(timer);
    }
  }

  #open(): pg.Pool {
    const { connection, log, max, isPatient = false } = this.#options;
    const target = connection();
    const types = new pg.TypeOverrides();
    // Counts are safe integers: no table holds 2^53 rows.
    types.setTypeParser(int8Oid, Number);
    const pool = new pg.Pool({
      application_name: "flowcall",
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      stream: () => this.#openSocket(),
      types,
      max,
      ...(isPatient ? {} : { ...timeouts, options: planOptions }),
      ...("url" in target ? { connectionString: target.url } : target),
    });
    pool.on("error", (error) => log.warn({ error: error.message }, "an idle connection to the database ended"));
    // The pool reports no errors of a connection in use, and an error event without a listener ends the process.
    pool.on("connect", (client) => {
      this.#clients.add(client);
      client.once("end", () => this.#clients.delete(client));
      client.on("error", (error) => log.debug({ error: error.message }, "a connection to the database ended"));
    });
    return pool;
  }

  #openSocket(): Socket {
    const socket = new Socket();
    this.#sockets.add(socket);
    return socket.once("close", () => this.#sockets.delete(socket));
  }
}

import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { PostgresPool, PostgresPoolClient } from "kysely";
import pg from "pg";
import type { Logger } from "pino";
import type { Tenant } from "../../domain/account.ts";
import { RequestError } from "../../domain/request-error.ts";
import { ConnectionTurns, type Release } from "./connection-semaphore.ts";
import { isUnavailable } from "./database-errors.ts";

/** How to reach a database: as `pg` takes it, or one URL. */
export type DatabaseConnection = pg.PoolConfig | { readonly url: string };

export type PoolOptions = {
  /** Asked when the first connection is needed, since the embedded database's is known only once it runs. */
  readonly connection: () => DatabaseConnection;
  readonly log: Logger;
  readonly max: number;
  /** Whether statements may take as long as they take, as migrations do. */
  readonly isPatient?: boolean;
  /** Set where this pool's statements are short and constant enough to say whether the database still answers. */
  readonly watch?: Watch;
};

export type Watch = {
  /** How long the database may be silent before a connection of this pool counts as lost. */
  readonly answerMs: number;
  /** Called when a new connection was met with silence too, and once more when that ends. */
  readonly onLost: () => void;
};

/** The server's limit comes first, so that a slow statement ends as an error and only a dead line as a lost connection. */
const timeouts = { statement_timeout: 10_000, query_timeout: 15_000, idle_in_transaction_session_timeout: 10_000 };

/**
 * Plans that cannot flip. Every statement reads few rows by an index, in its order, one after the other; what the planner
 * would rather do (read a table through, sort what a bitmap found, hash a whole table for a join) comes from statistics of
 * a table that was smaller, or empty, when they were made. Compiling a plan takes longer than running any of these.
 */
const planOptions = ["enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"]
  .map((name) => `-c ${name}=off`)
  .join(" ");

const int8Oid = 20;

/** How long connections may take to end. */
const endMs = 1_000;

/** What Postgres answers to a text with a NUL: the only one of JavaScript's that it cannot hold. */
const unstorableTextCode = "22021";

/** A pool whose connections cannot take the process down or wait for ever: for a connection, an answer, a transaction. */
export class Pool implements PostgresPool {
  /** What Kysely would open a connection from to cancel a statement, which is never asked of it. */
  readonly options = {};
  readonly #options: PoolOptions;
  readonly #clients = new Set<pg.PoolClient>();
  readonly #sockets = new Set<Socket>();
  /** How many waits for an answer were in vain, one after the other. */
  #silences = 0;
  readonly #turns: ConnectionTurns;
  #pool: pg.Pool | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#turns = new ConnectionTurns(options.max);
  }

  /** @param caller for whom the connection is; absent where it is for the process's own work */
  async connect(caller?: Tenant): Promise<PostgresPoolClient> {
    const putBack = await this.#heard(this.#turns.take(caller));
    try {
      this.#pool ??= this.#open();
      return this.#lend(await this.#heard(this.#pool.connect()), putBack);
    } catch (error) {
      putBack();
      throw error;
    }
  }

  #lend(client: pg.PoolClient, putBack: Release): PostgresPoolClient {
    let isLost = false;
    const query: unknown = async (text: string, values: readonly unknown[]) => {
      try {
        return await this.#heard(client.query(text, [...values]));
      } catch (error) {
        // After a time-out the connection still waits for its answer: whoever got it next would wait as well.
        isLost ||= isUnavailable(error);
        if (error instanceof pg.DatabaseError) {
          // Whole rows stand in it, payloads too, and an error may be logged.
          error.detail = undefined;
          if (error.code === unstorableTextCode) {
            const message = "a text holds the character NUL, which cannot be kept";
            throw new RequestError("VALIDATION_ERROR", message, { cause: error });
          }
        }
        throw error;
      }
    };
    return {
      // Its other overload, with a cursor, is never called: the dialect is given none.
      query: query as PostgresPoolClient["query"],
      release: (discard) => {
        client.release(discard || isLost);
        putBack();
      },
    };
  }

  /**
   * Ends all connections at once, those too that are still being made: what waits for an answer on them fails now. On a
   * line that swallows what is sent, everything else would wait for its own time-out, one connection after the other.
   */
  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Settles when the connections have ended, which the pool of `pg` does not wait for; a dead line is left alone. */
  async end(): Promise<void> {
    if (this.#pool === undefined || this.#pool.ending) {
      return;
    }
    const ended = [...this.#clients].map((client) => new Promise((resolve) => client.once("end", resolve)));
    await this.#pool.end();
    await Promise.race([Promise.all(ended), sleep(endMs, undefined, { ref: false })]);
  }

  async #heard<T>(answer: Promise<T>): Promise<T> {
    const { watch } = this.#options;
    if (watch === undefined) return await answer;
    let isOver = false;
    const miss = () => {
      if (isOver) return;
      this.#silences += 1;
      this.drop();
      if (this.#silences > 1) watch.onLost();
    };
    // Behind what has arrived: in a busy process the timer comes first, and the answer may lie there unread.
    const timer = setTimeout(() => setImmediate(miss), watch.answerMs);
    try {
      const result = await answer;
      if (this.#silences > 1) watch.onLost();
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
    // Counts: no table holds 2^53 of anything.
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
    // Of a connection that is in use the pool reports nothing, and an error event nobody listens to ends the process.
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

import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { Logger } from "pino";
import type { Service } from "../../domain/service.ts";
import type { DatabaseConnection } from "./pool.ts";

const channel = "flowcall";

/** What is told within this time is told at once: a commit with a notice holds up all others of the database. */
const tickMs = 50;

/** How much one notice holds; Postgres takes 8,000 bytes. */
const payloadCharsMax = 7_500;

const retryMsMin = 100;
const retryMsMax = 5_000;

/** How often a line that nothing comes over is asked whether it still leads anywhere. */
const pingMs = 10_000;
const answerMs = 5_000;

const endMs = 1_000;

/** What a hint is about; without ids: all of that. */
export type HintTopic = "ended" | "queued" | "keys";

type HintListener = (ids: readonly string[] | undefined) => void;

export type HintsOptions = { readonly connection: () => DatabaseConnection; readonly log: Logger };

/**
 * Tells the other processes on the database where to look, and hears from them, on a connection of its own. A hint may
 * be missing, late or wrong: whoever listens looks from time to time without one too. After a time in which nothing
 * could be heard, listeners are told to look at everything.
 */
export class Hints implements Service {
  readonly #options: HintsOptions;
  readonly #listeners = new Map<HintTopic, HintListener[]>();
  readonly #stopping = new AbortController();
  #told = new Map<HintTopic, Set<string> | undefined>();
  #tick: NodeJS.Timeout | undefined;
  #client: pg.Client | undefined;
  #listening: Promise<void> = Promise.resolve();
  #asked: Promise<unknown> = Promise.resolve();

  constructor(options: HintsOptions) {
    this.#options = options;
  }

  /** Settles when it listens, or when the first try has failed; it goes on trying. */
  async start(): Promise<void> {
    const tried = Promise.withResolvers<void>();
    this.#listening = this.#listen(tried.resolve);
    await tried.promise;
  }

  async stop(): Promise<void> {
    clearTimeout(this.#tick);
    await this.#send();
    this.#stopping.abort();
    await this.#listening;
  }

  on(topic: HintTopic, listener: HintListener): void {
    this.#listeners.set(topic, [...(this.#listeners.get(topic) ?? []), listener]);
  }

  /** Tells the others, within a moment and together with what else there is to tell. */
  tell(topic: HintTopic, id?: string): void {
    if (id === undefined) this.#told.set(topic, undefined);
    else if (!this.#told.has(topic)) this.#told.set(topic, new Set([id]));
    else this.#told.get(topic)?.add(id);
    this.#tick ??= setTimeout(() => void this.#send(), tickMs);
  }

  async #send(): Promise<void> {
    this.#tick = undefined;
    const told = [...this.#told];
    this.#told = new Map();
    if (told.length === 0 || this.#client === undefined) return;
    const some = JSON.stringify(Object.fromEntries(told.map(([topic, ids]) => [topic, ids ? [...ids] : true])));
    const all = () => JSON.stringify(Object.fromEntries(told.map(([topic]) => [topic, true])));
    const payload = some.length > payloadCharsMax ? all() : some;
    await this.#ask(this.#client, "select pg_notify($1, $2)", [channel, payload]).catch((error: unknown) => {
      this.#options.log.debug({ err: error }, "the other processes could not be told");
    });
  }

  async #listen(onTried: () => void): Promise<void> {
    const { signal } = this.#stopping;
    for (let retryMs = retryMsMin; !signal.aborted; retryMs = Math.min(2 * retryMs, retryMsMax)) {
      try {
        await this.#listenOnce(() => {
          retryMs = retryMsMin;
          onTried();
        });
      } catch (error) {
        if (!signal.aborted) this.#options.log.warn({ err: error }, "what other processes tell is not heard for now");
      }
      onTried();
      await sleep(retryMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Listens until the connection ends. */
  async #listenOnce(onListening: () => void): Promise<void> {
    const { signal } = this.#stopping;
    const target = this.#options.connection();
    const socket = new Socket();
    const client = new pg.Client({
      application_name: "flowcall-hints",
      connectionTimeoutMillis: answerMs,
      query_timeout: answerMs,
      stream: () => socket,
      ...("url" in target ? { connectionString: target.url } : target),
    });
    const ended = new Promise<void>((resolve) => client.once("end", resolve));
    const failed = new Promise<never>((_, reject) => client.on("error", reject));
    failed.catch(() => undefined);
    try {
      await client.connect();
      client.on("notification", ({ processId, payload }) => {
        if (processId !== backendOf(client)) this.#hear(payload);
      });
      await client.query(`listen ${channel}`);
      this.#client = client;
      onListening();
      // What was told before, nobody heard here.
      for (const topic of this.#listeners.keys()) this.#pass(topic, undefined);
      for (const isOver = ended.then(() => true); !signal.aborted; ) {
        const pause = sleep(pingMs, false, { signal }).catch(() => true);
        if (await Promise.race([isOver, failed, pause])) return;
        await this.#ask(client, "select");
      }
    } finally {
      this.#client = undefined;
      await Promise.race([client.end().catch(() => undefined), sleep(endMs, undefined, { ref: false })]);
      socket.destroy();
    }
  }

  /** One statement at a time: a connection takes no more. */
  #ask(client: pg.Client, text: string, values: string[] = []): Promise<unknown> {
    const answer = this.#asked.then(() => client.query(text, values));
    this.#asked = answer.catch(() => undefined);
    return answer;
  }

  #hear(payload: string | undefined): void {
    try {
      const told: unknown = JSON.parse(payload ?? "");
      for (const topic of this.#listeners.keys()) {
        const ids: unknown = Reflect.get(Object(told), topic);
        if (ids !== undefined) this.#pass(topic, Array.isArray(ids) ? ids.map(String) : undefined);
      }
    } catch (error) {
      this.#options.log.debug({ err: error }, "a hint of another kind of process is not understood");
    }
  }

  #pass(topic: HintTopic, ids: readonly string[] | undefined): void {
    for (const listener of this.#listeners.get(topic) ?? []) listener(ids);
  }
}

/** The number of the connection's own session, which hears what it tells itself. Its type leaves it out. */
function backendOf(client: pg.Client): unknown {
  return Reflect.get(client, "processID");
}

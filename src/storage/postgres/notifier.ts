import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { Logger } from "pino";
import { settlesWithin } from "../../domain/deadline.ts";
import type { Service } from "../../domain/service.ts";
import type { DatabaseConnection } from "./pool.ts";

const channel = "flowcall";

/** Notifications are collected for this long: a commit with NOTIFY takes a lock that all such commits of the database share. */
const collectMs = 50;

/** Size of one notification; Postgres accepts 8,000 bytes. */
const payloadCharsMax = 7_500;

const retryMsMin = 100;
const retryMsMax = 5_000;

/** The heartbeat of the connection, which finds out that it is dead where the network drops packets. */
const pingMs = 10_000;
const answerMs = 5_000;

const endMs = 1_000;

/** The subject of a notification; without ids it is about all of them. */
export type NotificationTopic = "ended" | "queued" | "signals" | "keys" | "schedules" | "webhooks";

type Listener = (ids: readonly string[] | undefined) => void;

export type NotifierOptions = { readonly connection: () => DatabaseConnection; readonly log: Logger };

/**
 * LISTEN/NOTIFY between the processes of one database, on a connection of its own. A notification is a hint and no
 * guarantee: it may be lost, late or wrong, so that listeners also poll. After a time without a connection all listeners
 * are called for everything.
 */
export class Notifier implements Service {
  readonly #options: NotifierOptions;
  readonly #listeners = new Map<NotificationTopic, Listener[]>();
  readonly #stopping = new AbortController();
  #pending = new Map<NotificationTopic, Set<string> | undefined>();
  #timer: NodeJS.Timeout | undefined;
  #client: pg.Client | undefined;
  #listening: Promise<void> = Promise.resolve();
  #lastQuery: Promise<unknown> = Promise.resolve();

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  /** Settles when it listens, or when the first try has failed; it goes on trying. */
  async start(): Promise<void> {
    const tried = Promise.withResolvers<void>();
    this.#listening = this.#keepListening(tried.resolve);
    await tried.promise;
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#send();
    this.#stopping.abort();
    await this.#listening;
  }

  listen(topic: NotificationTopic, listener: Listener): void {
    this.#listeners.set(topic, [...(this.#listeners.get(topic) ?? []), listener]);
  }

  /** Notifies the other processes within a moment, in one notification with what else there is to send. */
  notify(topic: NotificationTopic, id?: string): void {
    if (id === undefined) {
      this.#pending.set(topic, undefined);
    } else if (!this.#pending.has(topic)) {
      this.#pending.set(topic, new Set([id]));
    } else {
      this.#pending.get(topic)?.add(id);
    }
    this.#timer ??= setTimeout(() => void this.#send(), collectMs);
  }

  async #send(): Promise<void> {
    this.#timer = undefined;
    const pending = [...this.#pending];
    this.#pending = new Map();
    if (pending.length === 0 || this.#client === undefined) {
      return;
    }
    const withIds = JSON.stringify(Object.fromEntries(pending.map(([topic, ids]) => [topic, ids ? [...ids] : true])));
    const withoutIds = () => JSON.stringify(Object.fromEntries(pending.map(([topic]) => [topic, true])));
    const payload = withIds.length > payloadCharsMax ? withoutIds() : withIds;
    await this.#query(this.#client, "select pg_notify($1, $2)", [channel, payload]).catch((error: unknown) => {
      this.#options.log.debug({ err: error }, "the other processes could not be notified");
    });
  }

  async #keepListening(onTried: () => void): Promise<void> {
    const { signal } = this.#stopping;
    for (let retryMs = retryMsMin; !signal.aborted; retryMs = Math.min(2 * retryMs, retryMsMax)) {
      try {
        await this.#listenOnce(() => {
          retryMs = retryMsMin;
          onTried();
        });
      } catch (error) {
        if (!signal.aborted) {
          this.#options.log.warn({ err: error }, "notifications of other processes do not arrive for now");
        }
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
      application_name: "flowcall-notifier",
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
        if (processId !== backendOf(client)) {
          this.#receive(payload);
        }
      });
      await client.query(`listen ${channel}`);
      this.#client = client;
      onListening();
      // Notifications that were sent before did not arrive here.
      for (const topic of this.#listeners.keys()) {
        this.#call(topic, undefined);
      }
      for (const isOver = ended.then(() => true); !signal.aborted; ) {
        const pause = sleep(pingMs, false, { signal }).catch(() => true);
        if (await Promise.race([isOver, failed, pause])) {
          return;
        }
        await this.#query(client, "select");
      }
    } finally {
      this.#client = undefined;
      await settlesWithin(
        endMs,
        client.end().catch(() => undefined),
      );
      socket.destroy();
    }
  }

  /** Sends one statement at a time: a connection takes no more. */
  #query(client: pg.Client, text: string, values: string[] = []): Promise<unknown> {
    const answer = this.#lastQuery.then(() => client.query(text, values));
    this.#lastQuery = answer.catch(() => undefined);
    return answer;
  }

  #receive(payload: string | undefined): void {
    try {
      const received: unknown = JSON.parse(payload ?? "");
      for (const topic of this.#listeners.keys()) {
        const ids: unknown = Reflect.get(Object(received), topic);
        if (ids !== undefined) {
          this.#call(topic, Array.isArray(ids) ? ids.map(String) : undefined);
        }
      }
    } catch (error) {
      this.#options.log.debug({ err: error }, "a notification of another kind of process is ignored");
    }
  }

  #call(topic: NotificationTopic, ids: readonly string[] | undefined): void {
    for (const listener of this.#listeners.get(topic) ?? []) {
      listener(ids);
    }
  }
}

/** The process id of the connection's backend, which receives its own notifications. The types of `pg` lack it. */
function backendOf(client: pg.Client): unknown {
  return Reflect.get(client, "processID");
}

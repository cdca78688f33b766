import { setTimeout as pause } from "node:timers/promises";
import { testKey } from "../support/flowcall.ts";

/** How long a reader waits for a process that may be stopped, and how long for one that is known to run. */
const answerMs = 3_000;
const sureAnswerMs = 60_000;

export type ReadersOptions = {
  readonly urls: () => readonly string[];
  /** The ids that somebody was told so far. */
  readonly ids: readonly string[];
  readonly readers: number;
  /** How long each of them rests after an answer. */
  readonly pauseMs: number;
  readonly random: () => number;
};

/** Readers who ask any process for any execution, and hold what they are told against all that they were told before. */
export class Readers {
  /** What was read of executions that had ended. */
  readonly ends = new Map<string, string>();
  /** What contradicts an earlier answer. */
  readonly contradictions: string[] = [];
  reads = 0;
  readonly #options: ReadersOptions;
  readonly #reading: Promise<unknown>;
  #isStopped = false;

  constructor(options: ReadersOptions) {
    this.#options = options;
    this.#reading = Promise.all(Array.from({ length: options.readers }, () => this.#readOn()));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#reading;
  }

  /** Reads all of them at one process. */
  async readAll(url: string): Promise<void> {
    const left = [...this.#options.ids];
    const readOn = async () => {
      for (let id = left.pop(); id !== undefined; id = left.pop()) {
        await this.#read(url, id, sureAnswerMs);
      }
    };
    await Promise.all(Array.from({ length: 16 }, readOn));
  }

  async #readOn(): Promise<void> {
    const { urls, ids, random, pauseMs } = this.#options;
    while (!this.#isStopped) {
      const all = urls();
      const url = all[Math.floor(random() * all.length)];
      const id = ids[Math.floor(random() * ids.length)];
      // A process that is not there tells nothing.
      if (url !== undefined && id !== undefined) {
        await this.#read(url, id).catch(() => undefined);
      }
      await pause(pauseMs);
    }
  }

  async #read(url: string, id: string, withinMs = answerMs): Promise<void> {
    const known = this.ends.get(id);
    const reply = await fetch(`${url}/api/v1/execution/${id}/response`, {
      headers: { "x-api-key": testKey, linked_account_id: "john@acme.io" },
      signal: AbortSignal.timeout(withinMs),
    });
    const text = await reply.text();
    if (reply.status === 503) {
      return;
    }
    this.reads += 1;
    const isEnd = reply.status === 200 && JSON.parse(text).status !== "RUNNING";
    if (reply.status !== 200 || (known !== undefined && known !== text)) {
      this.contradictions.push(`${id}: ${reply.status} ${text}${known === undefined ? "" : `, after ${known}`}`);
    }
    if (isEnd && known === undefined) {
      this.ends.set(id, text);
    }
  }
}

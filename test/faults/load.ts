import { setTimeout as pause } from "node:timers/promises";
import { testKey } from "../support/flowcall.ts";

/** How long a caller waits for a process that may be stopped, before it tries another one. */
const answerMs = 3_000;

/** The pauses of a caller that got no answer, or a refusal: twice as long each time, and half of it by chance. */
const pauseMsMin = 50;
const pauseMsMax = 1_000;

/** How many calls of a hundred are made once more after their answer, as a caller does who did not get it. */
const repeatedPercent = 10;

export type LoadOptions = {
  /** Where the processes are now. */
  readonly urls: () => readonly string[];
  readonly workflow: string;
  readonly payload: object;
  /** What the keys of these calls begin with. */
  readonly keys?: string;
  readonly calls: number;
  readonly clients: number;
  readonly random: () => number;
};

type Answer = { readonly status: number; readonly id: string | undefined };

/** Callers who make a number of calls, each under a key of its own, and each again and again until it is accepted. */
export class Load {
  /** The ids that each key was told. */
  readonly idsByKey = new Map<string, Set<string>>();
  /** The ids in the order in which they were told. */
  readonly ids: string[] = [];
  /** Answers that no call may ever get. */
  readonly wrong: Answer[] = [];
  /** How often there was no answer, or a refusal. */
  retries = 0;
  readonly #options: LoadOptions;
  readonly #calling: Promise<unknown>;
  #next = 0;
  #isStopped = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#calling = Promise.all(Array.from({ length: options.clients }, () => this.#callOn()));
  }

  get calls(): number {
    return this.#options.calls;
  }

  /** Whether all calls have been accepted. */
  get isDone(): boolean {
    return this.ids.length >= this.#options.calls;
  }

  /** Makes no more calls; settles when none is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#calling;
  }

  async #callOn(): Promise<void> {
    const { calls, random, keys = "call" } = this.#options;
    while (this.#next < calls && !this.#isStopped) {
      const key = `${keys}-${this.#next}`;
      this.#next += 1;
      const isRepeated = random() * 100 < repeatedPercent;
      await this.#callUntilAccepted(key);
      if (isRepeated) {
        await this.#callUntilAccepted(key);
      }
    }
  }

  async #callUntilAccepted(key: string): Promise<void> {
    for (let pauseMs = pauseMsMin; !this.#isStopped; pauseMs = Math.min(2 * pauseMs, pauseMsMax)) {
      const answer = await this.#call(key).catch(() => undefined);
      if (answer?.status === 200 && answer.id !== undefined) {
        return this.#note(key, answer.id);
      }
      if (answer !== undefined && answer.status !== 503) {
        this.wrong.push(answer);
      }
      this.retries += 1;
      await pause((pauseMs * (1 + this.#options.random())) / 2);
    }
  }

  #note(key: string, id: string): void {
    const ids = this.idsByKey.get(key) ?? new Set();
    if (ids.size === 0) {
      this.ids.push(id);
    }
    this.idsByKey.set(key, ids.add(id));
  }

  async #call(key: string): Promise<Answer> {
    const { urls, workflow, payload, random } = this.#options;
    const all = urls();
    const url = all[Math.floor(random() * all.length)];
    const reply = await fetch(`${url}/api/v1/workflow/${workflow}/execute`, {
      method: "POST",
      headers: {
        "x-api-key": testKey,
        linked_account_id: "john@acme.io",
        "content-type": "application/json",
        "idempotency-key": key,
      },
      body: JSON.stringify(payload),
      signal: AbortSignal.timeout(answerMs),
    });
    const { execution_id } = JSON.parse(await reply.text());
    return { status: reply.status, id: execution_id };
  }
}

import type { Logger } from "pino";
import type { NewExecution } from "../../domain/execution.ts";
import { newId } from "../../domain/id.ts";
import type { Limits } from "../../domain/limits.ts";
import type { RequestError } from "../../domain/request-error.ts";
import type { Service } from "../../domain/service.ts";
import type { DayBytesStore } from "../../storage/tenants/daily-bytes-store.ts";
import { dayBytesUsed } from "../accept/call-errors.ts";
import { Loop } from "../process/periodic-task.ts";

const everyMs = 1_000;
const dayMs = 24 * 60 * 60 * 1000;

/** What an execution adds to the count of its environment. */
type Counted = Pick<NewExecution, "environmentId" | "payload">;

/** What was taken of one environment. */
type Use = {
  here: number;
  /** By other processes, and by earlier counts, as the database told last. */
  elsewhere: number;
  /** Whether somebody has asked since it was last told. */
  isAsked: boolean;
};

type Day = {
  /** Days since 1970. */
  readonly number: number;
  /** Whose count it is: of this process, and of this day as it saw it begin. A clock that is set back begins another one. */
  readonly owner: string;
  readonly uses: Map<string, Use>;
};

export type DayBytesOptions = {
  readonly store: Pick<DayBytesStore, "exchange">;
  readonly limits: Pick<Limits, "environmentDayBytesMax">;
  /** Milliseconds since 1970, by the clock that all processes share. */
  readonly now: () => number;
  readonly log: Logger;
};

/**
 * How many bytes of payloads each environment gives in a day of UTC, over all processes, and whether it may give more.
 *
 * A call costs no statement: each process counts what it takes, and once a second it tells the others, and hears what they
 * have taken, of the environments that somebody asked for. By what is taken in that second the limit may be exceeded, and
 * so much of the count is lost with a process that dies.
 */
export class DayBytes implements Service {
  readonly #options: DayBytesOptions;
  readonly #max: number;
  readonly #loop: Loop;
  #day: Day = { number: Number.NaN, owner: "", uses: new Map() };

  constructor(options: DayBytesOptions) {
    this.#options = options;
    this.#max = options.limits.environmentDayBytesMax;
    this.#loop = new Loop({ name: "day bytes", everyMs, turn: () => this.#tell(), log: options.log });
  }

  async start(): Promise<void> {
    if (this.#max > 0) await this.#loop.start();
  }

  /** Tells what was taken last. */
  async stop(): Promise<void> {
    await this.#loop.stop();
    try {
      await this.#tell();
    } catch (error) {
      this.#options.log.warn({ err: error }, "the payloads of the last second are not in the count of the day");
    }
  }

  /** Why nothing so large is taken today; undefined where it is. */
  refusal(execution: Counted): RequestError | undefined {
    if (this.#max === 0) return undefined;
    const now = this.#options.now();
    const use = this.#useOf(execution, now);
    if (use.here + use.elsewhere + bytesOf(execution) <= this.#max) return undefined;
    return dayBytesUsed(this.#max, Math.ceil((dayMs - (now % dayMs)) / 1000));
  }

  /** Counts what is accepted. Throws RequestError where it is too much. */
  take(execution: Counted): void {
    const refusal = this.refusal(execution);
    if (refusal !== undefined) throw refusal;
    if (this.#max > 0) this.#useOf(execution, this.#options.now()).here += bytesOf(execution);
  }

  /** Counts an execution that `write` accepts, unless that fails or answers that it is another one. */
  async count<Other>(execution: Counted, write: () => Promise<Other | undefined>): Promise<Other | undefined> {
    if (this.#max === 0) return await write();
    // Held on to: the day may be over when the answer comes.
    const use = this.#useOf(execution, this.#options.now());
    const bytes = bytesOf(execution);
    use.here += bytes;
    let isAccepted = false;
    try {
      const other = await write();
      isAccepted = other === undefined;
      return other;
    } finally {
      if (!isAccepted) {
        use.here -= bytes;
        use.isAsked = true;
      }
    }
  }

  #useOf({ environmentId }: Counted, now: number): Use {
    const number = Math.floor(now / dayMs);
    if (number !== this.#day.number) this.#day = { number, owner: newId(), uses: new Map() };
    let use = this.#day.uses.get(environmentId);
    if (use === undefined) {
      use = { here: 0, elsewhere: 0, isAsked: true };
      this.#day.uses.set(environmentId, use);
    }
    use.isAsked = true;
    return use;
  }

  async #tell(): Promise<void> {
    const { number, owner, uses } = this.#day;
    const asked = [...uses].filter(([, use]) => use.isAsked);
    if (asked.length === 0) return;
    for (const [, use] of asked) use.isAsked = false;
    try {
      const day = new Date(number * dayMs).toISOString().slice(0, 10);
      const bytes = new Map(asked.map(([id, { here }]) => [id, here]));
      const elsewhere = await this.#options.store.exchange({ owner, day, bytes });
      for (const [id, use] of asked) use.elsewhere = elsewhere.get(id) ?? 0;
    } catch (error) {
      for (const [, use] of asked) use.isAsked = true;
      throw error;
    }
  }
}

function bytesOf({ payload }: Counted): number {
  return Buffer.byteLength(payload);
}

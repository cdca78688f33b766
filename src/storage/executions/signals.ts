import { type Kysely, sql } from "kysely";
import type { Tables } from "../postgres/tables.ts";
import { type Claim, dueFirst } from "./execution-claim.ts";

/** The wait of an execution on something that others say: its execution, and a name that is unique there, as a node's path. */
export type SignalName = { readonly environmentId: string; readonly executionId: string; readonly name: string };

export type NewSignal = SignalName & {
  /** What the wait ends with. */
  readonly value: string;
  /** Two signals with one digest are the same one, sent again. */
  readonly digest: string;
};

/**
 * What became of a signal: `set` and `repeated` are kept; another one was there before, the wait was closed, or the
 * execution has ended, holds too many of them, or does not exist.
 */
export type SignalSet = "set" | "repeated" | "taken" | "closed" | "ended" | "full";

/** `superseded`: another process has claimed the execution. `closed`: the wait ended without a signal. */
export type SignalRead = { readonly value: string } | "closed" | "none" | "superseded";

/** How many signals one execution keeps. Each may come before its wait, so that nothing else bounds them. */
const signalsMax = 10_000;

/**
 * External waits: signals are kept before whoever sets them is answered, and wait for their wait. Of a signal and the
 * end of its wait (`close`) the first row of the name counts, whichever process inserts it.
 *
 * Every write locks the execution's claim first. So a wake-up cannot get lost: an execution that goes to sleep finds all
 * signals that were set before, and a signal that is set later finds it asleep.
 */
export class SignalStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Keeps a signal, and wakes the execution where it sleeps. May be repeated. */
  async set(signal: NewSignal): Promise<SignalSet> {
    const known = await this.#known(signal);
    if (known !== undefined) {
      return outcomeOf(known, signal);
    }
    const { environmentId, executionId, name, value, digest } = signal;
    const { rows } = await sql<{ is_held: boolean; is_full: boolean; is_written: boolean }>`
      with held as (
        update execution_claim
           -- Judged on the newest row: its owner may be giving it back at this moment.
           set due_time = case when owner is null then ${dueFirst} else due_time end,
               -- No wait on a time is over by this.
               wake_time = case when owner is null then null else wake_time end
         where execution_id = ${executionId} and environment_id = ${environmentId}
        returning execution_id, environment_id
      ), room as (
        select held.*, (select count(*) from signal where signal.execution_id = held.execution_id) >= ${signalsMax} as is_full
          from held
      ), written as (
        insert into signal (execution_id, environment_id, name, value, digest)
        select execution_id, environment_id, ${name}::text, ${value}::text, ${digest}::text from room where not is_full
        on conflict (execution_id, name) do nothing
        returning 1
      )
      select exists(select from held) as is_held, coalesce((select is_full from room), false) as is_full,
             exists(select from written) as is_written`.execute(this.#db);
    const [{ is_held = false, is_full = false, is_written = false } = {}] = rows;
    if (is_written) {
      return "set";
    }
    if (!is_held || is_full) {
      return is_full ? "full" : "ended";
    }
    const other = await this.#known(signal);
    return other === undefined ? "ended" : outcomeOf(other, signal);
  }

  /** What has been set for a wait so far. */
  async read(wait: SignalName): Promise<SignalRead> {
    const known = await this.#known(wait);
    if (known === undefined) {
      return "none";
    }
    return known.value === null ? "closed" : { value: known.value };
  }

  /** Ends a wait for good, by the owner of its execution: later signals are refused. Answers one that came before. */
  async close({ name, ...claim }: Claim & { readonly name: string }): Promise<SignalRead> {
    const { environmentId, executionId, owner, epoch } = claim;
    const { rows } = await sql<{ is_held: boolean }>`
      with held as materialized (
        select execution_id, environment_id from execution_claim
         where execution_id = ${executionId} and environment_id = ${environmentId} and owner = ${owner} and epoch = ${epoch}
           for no key update
      ), written as (
        insert into signal (execution_id, environment_id, name)
        select execution_id, environment_id, ${name}::text from held on conflict (execution_id, name) do nothing
      )
      select exists(select from held) as is_held`.execute(this.#db);
    return rows[0]?.is_held === true ? await this.read({ environmentId, executionId, name }) : "superseded";
  }

  /**
   * Forgets what signals said to executions that have ended, and that they were for executions that are deleted; at most
   * `limit` of each. Answers how many there were.
   */
  async clear({ limit }: { readonly limit: number }): Promise<number> {
    const { rows } = await sql<{ count: number }>`
      with heard as materialized (
        select execution_id, name from signal
         where value is not null and value <> ''
           and not exists (select from execution_claim as claim where claim.execution_id = signal.execution_id)
         order by execution_id limit ${limit} for update skip locked
      ), emptied as (
        update signal set value = '' from heard
         where signal.execution_id = heard.execution_id and signal.name = heard.name returning 1
      ), orphaned as materialized (
        select execution_id, name from signal
         where not exists (select from execution where execution.id = signal.execution_id)
         order by execution_id limit ${limit} for update skip locked
      ), gone as (
        delete from signal using orphaned
         where signal.execution_id = orphaned.execution_id and signal.name = orphaned.name
           and (signal.value is null or signal.value = '')
        returning 1
      )
      select (select count(*) from emptied)::int + (select count(*) from gone)::int as count`.execute(this.#db);
    return rows[0]?.count ?? 0;
  }

  async #known({ environmentId, executionId, name }: SignalName): Promise<Known | undefined> {
    return await this.#db
      .selectFrom("signal")
      .select(["value", "digest"])
      .where("execution_id", "=", executionId)
      .where("environment_id", "=", environmentId)
      .where("name", "=", name)
      .executeTakeFirst();
  }
}

type Known = { readonly value: string | null; readonly digest: string | null };

function outcomeOf({ value, digest }: Known, signal: NewSignal): SignalSet {
  if (value === null) {
    return "closed";
  }
  return digest === signal.digest ? "repeated" : "taken";
}

import type { NodeRun } from "../../domain/execution.ts";

/** The length of a wait as it was planned, and as it was, in milliseconds. */
export type Waited = { readonly ms: number; readonly tookMs: number };

/** A node that is running. All running nodes form a doubly linked list, so that starting and ending one takes constant time. */
export interface UnderWay {
  readonly path: string;
  readonly node_id: string;
  /** The number of its current attempt. */
  readonly attempts: number;
  readonly start_time: number;
  /** Set by the journal: since when it is running, or infinity after that was recorded. */
  since: number;
  next: UnderWay | undefined;
  previous: UnderWay | undefined;
}

/**
 * The journal of one execution: an append-only record of its node runs, and the only thing on which the engine waits.
 *
 * Replay is the only way to resume. After a crash or a long wait, the run starts again from its beginning: the results that the
 * journal recalls take effect at once, and only the other nodes run.
 */
export interface Journal {
  /**
   * Whether an earlier run has recorded something. In a fresh run `recall` and `beganAt` need not be asked: no path is visited
   * twice.
   */
  readonly isReplay: boolean;
  /** The record of a path, from this run or an earlier one. */
  recall(path: string): NodeRun | undefined;
  /** The number of records before the one of this path; infinity where there is none. */
  positionOf(path: string): number;
  /**
   * Appends the record of a node run. Records keep their order: a failure comes before the nodes that it stopped. Throws
   * NodeFailure with RECORDS_TOO_LARGE, without an append, where all records together would exceed their limit.
   *
   * Gives whether there is room for more: if not, the run awaits `work` before it goes on (backpressure).
   */
  record(run: NodeRun): boolean;
  /** Appends a record that ends the run, or of a node that the end stopped. The limit does not apply: these are few and small. */
  recordEnd(run: NodeRun): void;
  /**
   * The start time of an unfinished node, Group or iteration, in milliseconds since 1970, if an earlier run has recorded
   * anything of it: a wait, an attempt, or a record inside of it.
   */
  beganAt(path: string): number | undefined;
  /** Notes that a node, or another attempt of it, is running until `leave`. If it runs for long, that is recorded. */
  enter(visit: UnderWay): void;
  /** Notes that a node no longer runs, or waits. */
  leave(visit: UnderWay): void;
  /**
   * A durable timer: settles `delayMs` milliseconds after the first call with this path, in whichever process that was. Rejects
   * with the signal's reason when that aborts first. The delay before a retry has a path of its own: `4#2` comes before the
   * second attempt of node 4.
   */
  wait(path: string, delayMs: number, signal: AbortSignal): Promise<Waited>;
  /**
   * An external wait: settles with the value of the signal that somebody sets under this path, before the wait or during it, or
   * with undefined `timeoutMs` milliseconds after the first call with this path. The execution is committed first. Rejects with the
   * abort signal's reason when that aborts first.
   */
  waitForSignal(path: string, timeoutMs: number, signal: AbortSignal): Promise<string | undefined>;
  /**
   * Runs a piece of work once there is room for its records (backpressure). A run in which nothing happens but `wait`, or
   * waiting for room, may be put to sleep: it is aborted, and replayed when the first of its waits is over. Rejects with the
   * signal's reason when that aborts before the work starts.
   */
  work<T>(piece: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /**
   * Call before every effect outside of the process. Settles once the execution and all its records are committed, and its lease
   * still belongs to this run. Rejects with the signal's reason when that aborts first.
   */
  beforeEffect(signal: AbortSignal): Promise<void>;
}

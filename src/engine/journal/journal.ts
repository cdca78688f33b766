import type { NodeRun } from "../../domain/execution.ts";

/** How long a wait was to be when it began, and how long it took from then on, in milliseconds. */
export type Waited = { readonly ms: number; readonly tookMs: number };

/** A visit of a node that is under way. The visits under way are a chain that runs through them. */
export interface UnderWay {
  readonly path: string;
  readonly node_id: string;
  /** Which attempt it is at. */
  readonly attempts: number;
  readonly start_time: number;
  /** Set by the journal: from when on it is under way, or infinity where that is recorded. */
  since: number;
  next: UnderWay | undefined;
  previous: UnderWay | undefined;
}

/**
 * The memory of one execution, and the only thing that the engine waits on.
 *
 * A run that goes on after a crash or a long wait is the same run from its start: what the journal recalls answers at
 * once, and only what it does not know runs.
 */
export interface Journal {
  /** What was recorded under this path, by this run or an earlier one. */
  recall(path: string): NodeRun | undefined;
  /** The number of records before the one of this path; infinity where there is none. */
  positionOf(path: string): number;
  /**
   * Keeps one visit of a node. Records keep their order: a failure comes before the nodes that it stopped. Throws
   * NodeFailure with RECORDS_TOO_LARGE, and keeps nothing, where all records together would be larger than they may be.
   */
  record(run: NodeRun): void;
  /** Keeps what ends the run, or was stopped by its end, however large the records are: such ones are few and small. */
  recordEnd(run: NodeRun): void;
  /**
   * When what has this path began, in milliseconds since 1970, where an earlier run has recorded something of it and not
   * its end: a node that waited or made an attempt, a Group or an iteration with something inside.
   */
  beganAt(path: string): number | undefined;
  /** Says that a node is under way, or another attempt of it, until `leave`. Where that is for long, it is recorded. */
  enter(visit: UnderWay): void;
  /** Says that a node is not under way any more, or waits. */
  leave(visit: UnderWay): void;
  /**
   * Settles `delayMs` milliseconds after the first call with this path, in whichever process that call was made.
   * Rejects with the signal's reason when it aborts first. Delays of a retry have paths of their own, as `4#2`: before
   * the second attempt of node 4.
   */
  wait(path: string, delayMs: number, signal: AbortSignal): Promise<Waited>;
  /**
   * Does a piece of work, once there is room for what comes of it. A run of which nothing is under way but `wait` and
   * what waits for room may be put to sleep: it is cut short, and run anew when the first of its waits is over. Rejects
   * with the signal's reason when it aborts before the piece begins.
   */
  work<T>(piece: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /**
   * Settles once the execution and all that is recorded of it are committed and still this run's to go on with, so that
   * something may leave the process on its behalf. Rejects with the signal's reason when it aborts first.
   */
  beforeEffect(signal: AbortSignal): Promise<void>;
}

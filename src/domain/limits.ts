import { availableParallelism } from "node:os";

/** The limits of one JSON value, counted on its text. */
export type JsonLimits = {
  /** UTF-8 bytes. */
  readonly bytesMax: number;
  /** Values of any kind, the root included. */
  readonly valuesMax: number;
  /** Nested containers; the root counts 1. */
  readonly depthMax: number;
  /** Members of one object. */
  readonly keysMax: number;
};

/** The limits of one workflow's definition. */
export type DefinitionLimits = {
  /** Bytes of the message. */
  readonly bytesMax: number;
  /** Characters of one JSONata query, and of any other text. */
  readonly queryMax: number;
  readonly textMax: number;
  /** Templates, and regular expressions, in all of it. */
  readonly templatesMax: number;
  readonly regexesMax: number;
  /** Reported errors, and reported warnings; one more entry says how many were left out. */
  readonly problemsMax: number;
};

/** All limits of the service. `defaultLimits` has the defaults. */
export type Limits = {
  readonly payload: JsonLimits;
  /** The limits of a node's output and of a response. */
  readonly output: JsonLimits;
  /** The limits of a linked account's attributes and of configuration values. */
  readonly settings: JsonLimits;
  /** Bytes of one request, decompressed, on every protocol. */
  readonly transportBytesMax: number;
  /** Bytes of the request headers that an event keeps. */
  readonly eventHeaderBytesMax: number;
  readonly graphNodesMax: number;
  /** Checked before a definition is compiled; an excess is a problem of the definition. */
  readonly definition: DefinitionLimits;
  readonly syncWaitMs: number;
  readonly groupIterationsMax: number;
  readonly delayMs: number;
  /** The longest chain of executions that call each other through HTTP nodes; it stops endless recursion. */
  readonly callChainMax: number;
  /** Bytes of one execution's journal: outputs, inputs and errors, Groups included. */
  readonly recordsBytesMax: number;
  /**
   * Bytes of journal records that the executions of this process hold in memory, not counting the first mebibyte of each.
   * The executions of one organisation may hold at most half of them.
   */
  readonly recordsMemoryBytesMax: number;
  /** The timeout of one attempt of a node that sets none. */
  readonly nodeTimeoutMs: number;
  /** The timeout of one attempt of an HTTP node that sets none. */
  readonly httpTimeoutMs: number;
  /** Bytes of all responses of one attempt of an HTTP node, decompressed. */
  readonly httpAnswerBytesMax: number;
  /** Pages that one attempt of an HTTP node requests. */
  readonly httpPagesMax: number;
  /** The timeout of a JSONata query, and of a check of a payload or definition in a child process. */
  readonly queryMs: number;
  /** Child processes for work whose time and memory cannot be bounded in this process. */
  readonly poolChildren: number;
  /** Idle child processes that are kept. */
  readonly poolKept: number;
  /** The heap of one child process. */
  readonly childHeapMib: number;
  /** Checks that wait for a child process. One environment may have a tenth of them. */
  readonly poolQueueMax: number;
  /** The longest running time of an execution, without its waits. */
  readonly runMs: number;
  /** The greatest age of an execution, with its waits. */
  readonly ageMs: number;
  /** How long ended executions are kept; at least as long as idempotency keys. */
  readonly retentionMs: number;
  /** Executions that run at the same time in this process. */
  readonly slots: number;
  /**
   * Executions that wait for a slot, over all processes: in total, of one organisation, of one environment and of one linked
   * account. Two organisations at their limits leave room for a third.
   */
  readonly queueMax: number;
  readonly organizationQueueMax: number;
  readonly environmentQueueMax: number;
  readonly accountQueueMax: number;
  /** Executions that run at the same time over all processes, of one organisation, one environment, one linked account. */
  readonly organizationRunningMax: number;
  readonly environmentRunningMax: number;
  readonly accountRunningMax: number;
  /** Rate limits: requests per second over all processes, with one API key and with all keys of an organisation. */
  readonly keyRequestsMax: number;
  readonly organizationRequestsMax: number;
  /** Payload bytes of one environment per UTC day, over all processes; 0 for no limit. */
  readonly environmentDayBytesMax: number;
  /** Compiled versions in the LRU cache. */
  readonly versionsMax: number;
  /** The memory of that cache, estimated by the length of the definitions. */
  readonly versionsBytesMax: number;
  /** Open streams of WatchExecution on this process: in total, of one organisation, of one environment. */
  readonly watchersMax: number;
  readonly organizationWatchersMax: number;
  readonly environmentWatchersMax: number;
  /** How long an event stream may be silent before its headers are sent, and before a keep-alive comment is sent. */
  readonly eventOpenMs: number;
  readonly eventCommentMs: number;
  /** How long the reader of a stream may stall (backpressure) before it is closed, on every protocol. */
  readonly streamStallMs: number;
  /** Bytes of one message to a service without a key (gRPC health and reflection), decompressed. */
  readonly openMessageBytesMax: number;
  /** How long a gRPC reflection stream may stay open. */
  readonly reflectionMs: number;
};

const mebibyte = 1024 * 1024;
const dayMs = 24 * 60 * 60 * 1000;

export const defaultLimits: Limits = {
  payload: { bytesMax: mebibyte, valuesMax: 50_000, depthMax: 24, keysMax: 10_000 },
  output: { bytesMax: mebibyte, valuesMax: 50_000, depthMax: 32, keysMax: 10_000 },
  settings: { bytesMax: 64 * 1024, valuesMax: 5_000, depthMax: 24, keysMax: 1_000 },
  transportBytesMax: 4 * mebibyte,
  eventHeaderBytesMax: 8 * 1024,
  graphNodesMax: 500,
  definition: {
    bytesMax: mebibyte,
    queryMax: 64 * 1024,
    textMax: 256 * 1024,
    templatesMax: 5_000,
    regexesMax: 100,
    problemsMax: 100,
  },
  syncWaitMs: 50_000,
  groupIterationsMax: 10_000,
  delayMs: 30 * dayMs,
  callChainMax: 10,
  recordsBytesMax: 64 * mebibyte,
  recordsMemoryBytesMax: 128 * mebibyte,
  nodeTimeoutMs: 60_000,
  httpTimeoutMs: 30_000,
  httpAnswerBytesMax: mebibyte,
  httpPagesMax: 100,
  queryMs: 5_000,
  poolChildren: Math.max(2, availableParallelism() - 1),
  poolKept: 1,
  childHeapMib: 192,
  poolQueueMax: 1_000,
  runMs: 2 * 60 * 60 * 1000,
  ageMs: 90 * dayMs,
  retentionMs: 30 * dayMs,
  slots: 256,
  queueMax: 200_000,
  organizationQueueMax: 80_000,
  environmentQueueMax: 50_000,
  accountQueueMax: 10_000,
  organizationRunningMax: 8_000,
  environmentRunningMax: 5_000,
  accountRunningMax: 1_000,
  keyRequestsMax: 10_000,
  organizationRequestsMax: 20_000,
  environmentDayBytesMax: 0,
  versionsMax: 1_000,
  versionsBytesMax: 128 * mebibyte,
  watchersMax: 10_000,
  organizationWatchersMax: 4_000,
  environmentWatchersMax: 2_500,
  eventOpenMs: 1_000,
  eventCommentMs: 15_000,
  streamStallMs: 60_000,
  openMessageBytesMax: 1024,
  reflectionMs: 60_000,
};

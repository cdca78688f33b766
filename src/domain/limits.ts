import { availableParallelism } from "node:os";

/** The bounds of one JSON value, counted on its text. */
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

/** The bounds of one workflow's definition. */
export type DefinitionLimits = {
  /** Bytes of the message. */
  readonly bytesMax: number;
  /** Characters of one JSONata query, and of any other text. */
  readonly queryMax: number;
  readonly textMax: number;
  /** Templates, and regular expressions, in all of it. */
  readonly templatesMax: number;
  readonly regexesMax: number;
  /** Errors that are told, and warnings; one more says how many there are besides. */
  readonly problemsMax: number;
};

/** Every bound of the service, each with its default. */
export type Limits = {
  readonly payload: JsonLimits;
  /** Bounds of a node's output and of a response. */
  readonly output: JsonLimits;
  /** Bounds of what is set for a linked account: its attributes, the values of fields. */
  readonly settings: JsonLimits;
  /** Bytes of one request, decompressed, on every protocol. */
  readonly transportBytesMax: number;
  /** Bytes of the request headers that an event keeps. */
  readonly eventHeaderBytesMax: number;
  readonly graphNodesMax: number;
  /** What a definition may be made of. More is a problem of the definition, found before anything of it is compiled. */
  readonly definition: DefinitionLimits;
  readonly syncWaitMs: number;
  readonly groupIterationsMax: number;
  readonly delayMs: number;
  /** Executions in a row of which each was called by an HTTP node of the one before. */
  readonly callChainMax: number;
  /** Bytes of all that is recorded of one execution: outputs, inputs, errors, of its replays and Groups too. */
  readonly recordsBytesMax: number;
  /**
   * Bytes of records that the executions which run in this process hold in memory, each beyond its first mebibyte. Those
   * of one organisation hold at most half of them.
   */
  readonly recordsMemoryBytesMax: number;
  /** How long one attempt of a node may take where the node does not say. */
  readonly nodeTimeoutMs: number;
  /** How long one attempt of an HTTP node may take where the node does not say. */
  readonly httpTimeoutMs: number;
  /** Bytes of the answers that one attempt of an HTTP node takes, decoded; of one answer where it has no pages. */
  readonly httpAnswerBytesMax: number;
  /** Pages that one attempt of an HTTP node asks for. */
  readonly httpPagesMax: number;
  /** How long a JSONata query may run, and a check of a payload or of a definition in a child process. */
  readonly queryMs: number;
  /** Child processes for what cannot be bounded in line. */
  readonly poolChildren: number;
  /** How many of them are kept while they have nothing to do. */
  readonly poolKept: number;
  /** How much memory one of them may fill with values. */
  readonly childHeapMib: number;
  /** Checks of payloads and definitions that wait for a child process; of one environment a tenth of that. */
  readonly poolQueueMax: number;
  /** How long an execution may run, its waits not counted. */
  readonly runMs: number;
  /** How old an execution may grow, its waits included. */
  readonly ageMs: number;
  /** How long executions are kept after their end; at least as long as idempotency keys are. */
  readonly retentionMs: number;
  /** Executions that run at a time in this process. */
  readonly slots: number;
  /**
   * Executions that wait for a slot, over all processes: in all, of one organisation, of one environment and of one linked
   * account. Two organisations have room in it for a third.
   */
  readonly queueMax: number;
  readonly organizationQueueMax: number;
  readonly environmentQueueMax: number;
  readonly accountQueueMax: number;
  /** Executions that run at a time, over all processes, of one organisation, one environment and one linked account. */
  readonly organizationRunningMax: number;
  readonly environmentRunningMax: number;
  readonly accountRunningMax: number;
  /** Requests in a second, over all processes, with one API key, and with all keys of an organisation. */
  readonly keyRequestsMax: number;
  readonly organizationRequestsMax: number;
  /** Bytes of the payloads of one environment's executions in a day of UTC, over all processes; 0 where there is no limit. */
  readonly environmentDayBytesMax: number;
  /** Compiled versions that are kept in memory. */
  readonly versionsMax: number;
  /** Bytes of memory that those take, estimated by the length of their definitions. */
  readonly versionsBytesMax: number;
  /** Streams of WatchExecution at a time, on this process: in all, of one organisation and of one environment. */
  readonly watchersMax: number;
  readonly organizationWatchersMax: number;
  readonly environmentWatchersMax: number;
  /** How long a stream of events is silent before its head is sent all the same, and before a comment is. */
  readonly eventOpenMs: number;
  readonly eventCommentMs: number;
  /** How long the reader of a stream may take nothing of it, on every protocol. */
  readonly streamStallMs: number;
  /** Bytes of one message to a service that needs no key (gRPC health and reflection), decompressed. */
  readonly openMessageBytesMax: number;
  /** How long a stream of gRPC reflection may be open. */
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

import type { JsonValue } from "@bufbuild/protobuf";
import type { Account } from "./account.ts";
import type { JsonText } from "./json/json-text.ts";
import type { AccessScope } from "./principal.ts";

/** The full state of an execution. The terminal states are final. */
export type ExecutionState = "QUEUED" | "RUNNING" | "WAITING" | TerminalState;

export type TerminalState = "COMPLETED" | "ERRORED" | "STOPPED" | "TIMED_OUT";

/** The status of an execution in replies to callers. */
export type ExecutionStatus = "RUNNING" | "COMPLETED" | "ERRORED";

/** Whether an execution in this state has ended. */
export function isTerminal(state: ExecutionState): state is TerminalState {
  return state !== "QUEUED" && state !== "RUNNING" && state !== "WAITING";
}

/** The status for a state. */
export function statusOf(state: ExecutionState): ExecutionStatus {
  if (!isTerminal(state)) {
    return "RUNNING";
  }
  return state === "COMPLETED" ? "COMPLETED" : "ERRORED";
}

export type ExecutionType = "SYNC" | "ASYNC";

export type ExecutionSource = "API_CALL" | "SUB_FLOW" | "BATCH" | "TEST" | "RERUN" | "RETRY" | "SCHEDULE";

/** Whether a node waits for the execution that it has begun. A SYNC one may have no Group. */
export type ChildMode = "WAIT" | "SYNC" | "DETACHED";

/** The state of a node run. RUNNING and WAITING have not ended. */
export type NodeState =
  | "RUNNING"
  | "SUCCESS"
  | "ERRORED"
  | "ERRORED_AND_SKIPPED"
  | "SKIPPED"
  | "WAITING"
  | "STOPPED"
  | "TIMED_OUT";

/** The port by which a branch goes on from a node that has failed, where the node's settings say so. No case of a Switch has it. */
export const errorPort = "error";

/** Whether a node run has failed and ended its branch: a branch that goes on at the node's port `error` has not ended. */
export function hasEndedBranch({ state, port }: Pick<NodeRun, "state" | "port">): boolean {
  return (state === "ERRORED" || state === "TIMED_OUT") && port !== errorPort;
}

/** Why an execution failed, in the form of the API and of the database. */
export type ExecutionError = {
  /** UPPER_SNAKE_CASE, stable. */
  readonly reason: string;
  readonly message: string;
  readonly node_id?: string;
  readonly node_name?: string;
  /** The execution whose failure failed the node. */
  readonly execution_id?: string;
  /** The status of the answer that failed the node. */
  readonly status?: number;
  /** That answer's body: JSON, or else text. */
  readonly body?: JsonValue;
  /** Whether the body is only the beginning of its text. */
  readonly is_cut?: boolean;
  /** What was caught before, where this failure came while that was handled. */
  readonly cause?: ExecutionError;
};

/** The response that a Response node has set. Once its record is committed it is final, however the execution ends. */
export type Answer = {
  readonly response: JsonText;
  /** The HTTP status of a synchronous reply. */
  readonly statusCode?: number;
};

/** How an execution ended. */
export type Outcome = {
  readonly state: TerminalState;
  /** The value of the Response node, else of the Start node's output templates; absent where there is neither. */
  readonly response?: JsonText;
  /** The HTTP status that the Response node set. */
  readonly statusCode?: number;
  /** Present unless the state is COMPLETED. */
  readonly error?: ExecutionError;
};

/** An accepted call: everything that its run starts from, also after a crash. */
export type NewExecution = Account & {
  readonly id: string;
  readonly workflowId: string;
  readonly version: number;
  readonly configId: string;
  readonly tag?: string;
  readonly type: ExecutionType;
  readonly source: ExecutionSource;
  /** The execution that a RERUN or a RETRY repeats. */
  readonly originId?: string;
  readonly payload: JsonText;
  /** The values of configuration fields that its templates read, as a JSON object; absent where they read none. */
  readonly fields?: JsonText;
  /** The request headers of the event, as a JSON object of strings. */
  readonly headers: JsonText;
};

/** Makes repeated calls one execution, within an environment and a linked account. */
export type IdempotencyKey = {
  readonly key: string;
  /** A digest of what a repeated call must have in common with the first: workflow, config_id and payload. */
  readonly fingerprint: string;
};

/** An execution as lists show it. Times are the database's. */
export type ExecutionSummary = {
  readonly id: string;
  readonly workflowId: string;
  readonly slug: string;
  readonly version: number;
  readonly linkedAccountId: string;
  readonly configId: string;
  readonly tag?: string;
  readonly type: ExecutionType;
  readonly source: ExecutionSource;
  readonly originId?: string;
  readonly state: ExecutionState;
  readonly statusCode?: number;
  readonly error?: ExecutionError;
  readonly createTime: Date;
  readonly endTime?: Date;
};

/** Selects the executions that match all given members. */
export type ExecutionFilter = AccessScope & {
  readonly linkedAccountId?: string;
  readonly workflowId?: string;
  /** Any of these states; absent: all. */
  readonly states?: readonly ExecutionState[];
  readonly source?: ExecutionSource;
  readonly type?: ExecutionType;
  readonly tag?: string;
  /** Those that nodes of this execution began. */
  readonly parentId?: string;
  readonly createdSince?: Date;
  readonly createdBefore?: Date;
  readonly errorReason?: string;
  readonly errorNodeId?: string;
  readonly idPrefix?: string;
};

/** The node that began an execution, and the first execution that led to it. */
export type Parentage = { readonly executionId: string; readonly path: string; readonly rootId: string };

/** An execution with its payload and response. */
export type ExecutionDetail = ExecutionSummary & {
  /** Present where a Sub Flow node began it. */
  readonly parent?: Parentage;
  readonly payload: JsonText;
  readonly response?: JsonText;
};

/** One record of the journal: a node run, an iteration of a Group, a failed attempt, or a note of progress. */
export type NodeRun = {
  /**
   * The place in the graph: node ids and iteration indexes, as `4` or `4[12]/7`. The path of an iteration ends in its index,
   * `4[12]`, that of a failed attempt in its number, `4#1`. Further records of a node: `4#intent` before a request that may
   * be sent at most once, `4#begun` when it has run for a while, `4#wait` until when it waits, `4#2#wait` until when the
   * second attempt waits.
   */
  readonly path: string;
  /** The id of the node; for an iteration, of the Group. */
  readonly node_id: string;
  readonly state: NodeState;
  /** The number of attempts; 0 for a node that was skipped. */
  readonly attempts: number;
  /** Milliseconds since 1970. */
  readonly start_time: number;
  readonly end_time: number;
  /** The values of its templates, by their text, as a JSON object. */
  readonly input?: JsonText;
  /** The last request of an HTTP node that failed, without what is secret in it. */
  readonly request?: SentRequest;
  /** The output that later nodes read; absent where there is none. */
  readonly output?: JsonText;
  /**
   * The port that was taken, for kinds with several, and `error` where the branch went on there after a failure; for an
   * iteration `each` if another one follows.
   */
  readonly port?: string;
  /** The number of iterations that began inside, nested Groups included; absent where there were none. */
  readonly iterations?: number;
  readonly error?: ExecutionError;
  /** The failed iterations of a Group, in their order, as a JSON array; absent where there were none. */
  readonly errors?: JsonText;
  /** On an attempt's record: the number of requests that were answered until then; absent for none. */
  readonly answers?: number;
  /** On an attempt's record: the number that ends the idempotency key of each page that was answered. */
  readonly page_keys?: readonly number[];
  /** Whether the node's output is hidden: encrypted while the execution runs, and deleted when it has ended. */
  readonly is_hidden?: boolean;
  /** The encrypted output and error message of a hidden run. */
  readonly sealed?: string;
  /** Hints for the author: a template that did not resolve, a second Response. */
  readonly notes?: readonly string[];
  /** What a script wrote to its console. */
  readonly console?: readonly ConsoleLine[];
};

/** A request as it was sent, for people. */
export type SentRequest = {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly { readonly key: string; readonly value: string }[];
  readonly body?: string;
  /** Whether the body is only the beginning of its text. */
  readonly is_cut?: boolean;
};

/** One attempt of a node run. Times are in milliseconds since 1970. */
export type NodeAttempt = {
  readonly number: number;
  readonly start_time: number;
  readonly end_time: number;
  /** How long the node waited before it; absent for the first. */
  readonly delay_ms?: number;
  /** Absent where it did not fail. */
  readonly error?: ExecutionError | undefined;
};

/** A line that a script wrote to its console. */
export type ConsoleLine = { readonly level: "DEBUG" | "INFO" | "WARNING" | "ERROR"; readonly text: string };

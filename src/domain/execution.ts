import type { Account } from "./account.ts";
import type { JsonText } from "./json-text.ts";
import type { Reach } from "./principal.ts";

/** The full state of an execution; the last four are terminal and final. */
export type ExecutionState = "QUEUED" | "RUNNING" | "WAITING" | TerminalState;

export type TerminalState = "COMPLETED" | "ERRORED" | "STOPPED" | "TIMED_OUT";

/** The three words in which a caller is told how an execution stands. */
export type ExecutionStatus = "RUNNING" | "COMPLETED" | "ERRORED";

/** Whether an execution in this state has ended for good. */
export function isTerminal(state: ExecutionState): state is TerminalState {
  return state !== "QUEUED" && state !== "RUNNING" && state !== "WAITING";
}

/** What a caller is told of a state. */
export function statusOf(state: ExecutionState): ExecutionStatus {
  if (!isTerminal(state)) return "RUNNING";
  return state === "COMPLETED" ? "COMPLETED" : "ERRORED";
}

export type ExecutionType = "SYNC" | "ASYNC";

export type ExecutionSource = "API_CALL" | "SUB_FLOW" | "BATCH" | "TEST" | "RERUN" | "RETRY";

/** How one visit of a node ended; RUNNING and WAITING where it has not. */
export type NodeState =
  | "RUNNING"
  | "SUCCESS"
  | "ERRORED"
  | "ERRORED_AND_SKIPPED"
  | "SKIPPED"
  | "WAITING"
  | "STOPPED"
  | "TIMED_OUT";

/** Why an execution failed, as callers see it and as the database keeps it. */
export type ExecutionError = {
  /** UPPER_SNAKE_CASE, stable. */
  readonly reason: string;
  readonly message: string;
  readonly node_id?: string;
  readonly node_name?: string;
};

/** What a Response node has set. It stands from the commit of that node's record on, however the execution ends. */
export type Answer = {
  readonly response: JsonText;
  /** The HTTP status for it. */
  readonly statusCode?: number;
};

/** How an execution ended. */
export type Outcome = {
  readonly state: TerminalState;
  /** The value of the Response node, else of the Start node's output templates; absent where neither spoke. */
  readonly response?: JsonText;
  /** The HTTP status that the Response node set. */
  readonly statusCode?: number;
  /** Present unless the state is COMPLETED. */
  readonly error?: ExecutionError;
};

/** An accepted call: everything that a run of it starts from, now or after a crash. */
export type NewExecution = Account & {
  readonly id: string;
  readonly workflowId: string;
  readonly version: number;
  readonly configId: string;
  readonly tag?: string;
  readonly type: ExecutionType;
  readonly source: ExecutionSource;
  /** The execution that a RERUN or a RETRY goes back to. */
  readonly originId?: string;
  readonly payload: JsonText;
  /** The values of fields that its templates read, a JSON object; absent where they read none. */
  readonly fields?: JsonText;
  /** The request headers that the event keeps, a JSON object of texts. */
  readonly headers: JsonText;
};

/** What makes repeats of a call one execution, within an environment and for a linked account. */
export type IdempotencyKey = {
  readonly key: string;
  /** What a repeat must agree in, as a digest. */
  readonly fingerprint: string;
};

/** An execution as lists give it. Times are the database's. */
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

/** Which executions a list is of: those for which all of this holds. */
export type ExecutionFilter = Reach & {
  readonly linkedAccountId?: string;
  readonly workflowId?: string;
  readonly state?: ExecutionState;
  readonly source?: ExecutionSource;
  readonly type?: ExecutionType;
  readonly tag?: string;
  readonly createdSince?: Date;
  readonly createdBefore?: Date;
};

/** An execution with what it was given and what it answered. */
export type ExecutionDetail = ExecutionSummary & { readonly payload: JsonText; readonly response?: JsonText };

/** What one visit of a node left behind, one iteration of a Group, or one attempt that another followed. */
export type NodeRun = {
  /**
   * Where in the run: node ids and iteration indexes, as `4` or `4[12]/7`; an iteration's ends in its index, `4[12]`, an
   * attempt's in its number, `4#1`. What says that the node was about to send at most once is `4#intent`, that it has been
   * under way for a while `4#begun`, and until when it waits `4#wait`, or `4#2#wait` before the second attempt.
   */
  readonly path: string;
  /** The node; for an iteration the Group. */
  readonly node_id: string;
  readonly state: NodeState;
  /** Attempts made; 0 where the node was skipped before any. */
  readonly attempts: number;
  /** Milliseconds since 1970. */
  readonly start_time: number;
  readonly end_time: number;
  /** What its templates gave, by their text, as a JSON object; kept for tests of drafts alone. */
  readonly input?: JsonText;
  /** What later nodes read; absent where there is none. */
  readonly output?: JsonText;
  /** The port that the branch left by, where the kind has more than one; of an iteration `each` if another follows. */
  readonly port?: string;
  /** How many iterations began inside, those of Groups in Groups included; absent where there were none. */
  readonly iterations?: number;
  readonly error?: ExecutionError;
  /** On an attempt's record, how many requests a server outside had answered until then; absent where none. */
  readonly answers?: number;
  /** On an attempt's record, how many requests had been answered before each page that was: what its key ends in. */
  readonly page_keys?: readonly number[];
  /** Whether the node hides what it gave: kept sealed while the execution goes on, and not at all when it has ended. */
  readonly is_hidden?: boolean;
  /** The output and the error's message of a run that is hidden, as they are kept. */
  readonly sealed?: string;
  /** What a person should know: a template that did not resolve, a second Response. */
  readonly notes?: readonly string[];
};

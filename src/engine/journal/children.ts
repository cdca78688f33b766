import type { ChildMode, Outcome } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";

/** The execution that a node begins: what it runs, and with what. */
export type ChildRequest = {
  /** An id or an alias. */
  readonly workflow: string;
  readonly slug: string | undefined;
  readonly version: number | undefined;
  readonly configId: string | undefined;
  /** An object. */
  readonly payload: JsonText;
  readonly mode: ChildMode;
};

/** The attempt of a node that begins it. Each attempt begins another one. */
export type ChildPlace = { readonly path: string; readonly attempt: number };

export type ChildRun = {
  readonly executionId: string;
  /** How it ended; absent where it is DETACHED. */
  readonly outcome?: Outcome;
};

/** Executions that nodes of a run begin. */
export interface Children {
  /**
   * Begins the execution of a place, unless an earlier run has, and waits for its end where its mode says so. Throws
   * NodeFailure: SUB_FLOW_NOT_FOUND, SUB_FLOW_REFUSED, SUB_FLOW_TOO_DEEP, and NODE_TIMED_OUT where it does not end in time;
   * then it is stopped. It is also stopped where the signal aborts since the workflow needs it no more.
   */
  run(place: ChildPlace, request: ChildRequest, options: ChildOptions): Promise<ChildRun>;
}

export type ChildOptions = {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
};

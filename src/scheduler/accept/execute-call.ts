import type { Account } from "../../domain/account.ts";
import type { ExecutionState, ExecutionType, Outcome } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json-text.ts";
import type { Reach } from "../../domain/principal.ts";
import type { WorkflowReference } from "../../domain/workflow.ts";
import type { Begin } from "../../storage/executions/begin-execution.ts";
import type { RunStart } from "../run/active-runs.ts";
import type { Event } from "../run/trigger-event.ts";

/** A call of ExecuteWorkflow in plain types. */
export type ExecuteCall = Reach &
  Account & {
    readonly reference: WorkflowReference;
    readonly version?: number;
    readonly configId?: string;
    readonly tag?: string;
    readonly type: ExecutionType;
    /** How long the call waits for the end; absent where it does not. */
    readonly waitMs?: number;
    readonly idempotencyKey?: string;
    /** Told when the call begins to wait. */
    readonly onWait?: (() => void) | undefined;
    /** Aborts when the caller goes away: it waits no longer, and the execution goes on. */
    readonly signal: AbortSignal;
    /** The text of `event.body`, checked. */
    readonly payload: JsonText;
    readonly event: Event;
  };

/** What a call is told. Without an outcome the execution goes on: nobody waits, or the time to wait is spent. */
export type Started = {
  readonly executionId: string;
  readonly outcome?: Outcome | undefined;
  /** How it stands, where that is known and nobody waits for its end; else it runs. */
  readonly state?: ExecutionState | undefined;
  /** Whether an earlier call with the same idempotency key started it. */
  readonly isReplayed?: boolean;
};

/** An execution to begin. */
export type Accept = RunStart & Omit<Begin, "owner">;

import type { Account } from "../../domain/account.ts";
import type { ExecutionSource, ExecutionState, ExecutionType, Outcome } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { AccessScope } from "../../domain/principal.ts";
import type { WorkflowReference } from "../../domain/workflow.ts";
import type { Begin } from "../../storage/executions/begin-execution.ts";
import type { RunStart } from "../run/execution-run.ts";
import type { TriggerEvent } from "../run/trigger-event.ts";

/** A call of ExecuteWorkflow in plain types. */
export type ExecuteCall = AccessScope &
  Account & {
    readonly reference: WorkflowReference;
    readonly version?: number;
    readonly configId?: string;
    readonly tag?: string;
    readonly type: ExecutionType;
    /** What makes the call; API_CALL if absent. */
    readonly source?: ExecutionSource;
    /** How long the call waits for the end of the execution; undefined where it does not wait. */
    readonly waitMs?: number;
    readonly idempotencyKey?: string;
    /** Called when the call begins to wait. */
    readonly onWait?: (() => void) | undefined;
    /** Aborts when the caller goes away. Then the call waits no longer, and the execution goes on. */
    readonly signal: AbortSignal;
    /** `event.body` as text; it has been checked. */
    readonly payload: JsonText;
    readonly event: TriggerEvent;
  };

/** The result of a call. Without an outcome the execution goes on, since the call did not wait, or not long enough. */
export type ExecuteResult = {
  readonly executionId: string;
  readonly outcome?: Outcome | undefined;
  /** The state, where a call that does not wait replays an earlier one. */
  readonly state?: ExecutionState | undefined;
  /** Whether an earlier call with the same idempotency key started the execution. */
  readonly isReplayed?: boolean;
};

/** An execution to begin: what it runs, its key, and the records that its journal begins with. */
export type ExecutionRequest = RunStart & Pick<Begin, "idempotencyKey" | "flushes">;

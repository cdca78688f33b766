import { EventEmitter } from "node:events";
import type { NewExecution, Outcome } from "../../domain/execution.ts";
import type { ClaimedExecution } from "../../storage/claims/claim-executions.ts";
import type { FamilyEnd } from "../../storage/executions/end-family.ts";
import type { Claim } from "../../storage/executions/execution-claim.ts";

/** An end that is committed. */
export type EndEvent = {
  readonly executionId: string;
  /** Undefined where it has to be read. */
  readonly outcome: Outcome | undefined;
  /** Whether others could know of the execution before. Nobody else waits for one that ran in memory alone. */
  readonly wasOwned: boolean;
};

/** An execution that this process has ended. */
export type EndedRun = {
  readonly execution: Pick<
    NewExecution,
    "id" | "environmentId" | "linkedAccountId" | "workflowId" | "version" | "type" | "source" | "tag"
  > & { readonly organizationId?: string };
  readonly outcome: Outcome;
  /** Since its call; exact to a second where the execution was queued or taken over meanwhile. */
  readonly ms: number;
};

type EventMap = {
  /** An execution is accepted by this process. */
  accepted: [execution: Pick<NewExecution, "source" | "type">];
  /** An execution of the queue, or of a process that is gone, goes on in this process. */
  claimed: [execution: Pick<ClaimedExecution, "dueTime" | "isQuarantined">];
  /** An execution has run, or waited, for too long, and is ended by this process, whoever owned it. */
  expired: [outcome: Outcome];
  /** A write changed nothing, since another process owns the execution or has ended it. */
  fenced: [];
  /** An end is committed by this process, also one of an execution that ran in memory alone. */
  finished: [end: EndedRun];
  ended: [end: EndEvent];
  /** Other processes say that these executions have ended, or that any may have. The notification may be wrong. */
  endedElsewhere: [ids: readonly string[] | undefined];
  /** A commit has added to the journal of an execution. */
  recorded: [executionId: string];
  /** Another process has queued an execution that it has no slot for. */
  queuedElsewhere: [];
  /** Signals were set for these executions, or for any. */
  signalled: [ids: readonly string[] | undefined];
  /** A node has begun an execution, which is queued. */
  childBegun: [execution: Pick<NewExecution, "source" | "type">];
  /** These executions were ended from outside, and, where it is named, one that this execution waited for. */
  familyEnded: [end: FamilyEnd];
  slotFreed: [];
  /** A committed execution cannot go on in this process. */
  failed: [claim: Claim, error: unknown];
};

/**
 * Events between the parts of the scheduler. They are created before the parts and given to all of them; each part
 * subscribes when it starts, and calls no other part back.
 */
export type SchedulerEvents = EventEmitter<EventMap>;

export function createSchedulerEvents(): SchedulerEvents {
  return new EventEmitter<EventMap>();
}

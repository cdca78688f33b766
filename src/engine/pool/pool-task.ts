import type { TaskKind, TaskRequest } from "./tasks.ts";

/** A task for a child. */
export type PoolTask<Kind extends TaskKind> = {
  /** Makes the request, when a child is free for it. */
  readonly request: () => TaskRequest<Kind>;
  /** `[organizationId, environmentId]`: children are shared fairly between them. */
  readonly path: readonly [string, string];
  /** Aborts when nobody waits for the result any more. */
  readonly signal: AbortSignal;
  /** Called when a child starts the task. */
  readonly onBegin?: () => void;
  /** Whether the task is refused where too many wait. A task of a run is not: the run has a slot already. */
  readonly isRefusable?: boolean;
  /** The time for a script, which each has of its own. */
  readonly timeoutMs?: number;
};

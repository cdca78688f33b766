import type { Clock } from "../../domain/clock.ts";
import type { NodeRun } from "../../domain/execution.ts";
import type { RunMemory } from "../limits/memory-budget.ts";
import type { Lease } from "../process/lease.ts";

export type RunJournalOptions = {
  readonly clock: Clock;
  /** When the execution was accepted, in milliseconds since 1970. */
  readonly acceptTime: number;
  /** Commits the execution's row, if it is not. */
  readonly begin: () => Promise<void>;
  /** Commits records as the flush of that index. */
  readonly append: (flushIndex: number, runs: readonly NodeRun[]) => Promise<void>;
  /** Lets go of the execution, of which all is committed, until that time has passed; it is `wakeTime` then. */
  readonly sleep: (sleep: Sleep) => Promise<void>;
  readonly isUnavailable: (error: unknown) => boolean;
  /** How large all records together may be. */
  readonly recordsBytesMax: number;
  readonly memory: RunMemory;
  /** Others may begin an effect anew when this is not held. It knows what the database's clock says, as all processes do. */
  readonly lease: Pick<Lease, "isHeld" | "whenHeld" | "databaseNow">;
  /** Called with a fault that no later flush can mend. */
  readonly onError: (error: unknown) => void;
};

export type Sleep = {
  readonly ms: number;
  readonly wakeTime: number;
  /** Whether it has something to do that there is no room for: then to have come so far says nothing for it. */
  readonly isPutOff: boolean;
};

import type { Tenant } from "../../domain/account.ts";
import type { Outcome } from "../../domain/execution.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Claim } from "../../storage/executions/execution-claim.ts";
import type { ReadSet } from "../../storage/tenants/read-set.ts";

/**
 * The life of an execution in one process. Each arrow is a method of `ExecutionRun`.
 *
 *     HELD ──begin──▶ OWNED ──finish──▶ ENDED
 *      │               ├────sleep────▶ ASLEEP        the log wakes it when it is due
 *      │               └──(fenced)───▶ SUPERSEDED    another process owns or has ended it
 *      ├──finish─────────────────────▶ ENDED
 *      └──(from both)──abandon───────▶ ABANDONED     this process stops
 *                      fail──────────▶ FAILED        a write was refused, its call has changed, or a fault of ours
 */
export type RunState =
  /** It exists in memory alone. */
  | { readonly kind: "HELD" }
  /** Its row is committed, owned by this process in this epoch. */
  | { readonly kind: "OWNED"; readonly epoch: number }
  | RunEnd;

/** How a run ends. The execution itself has ended only in `ENDED`, and in `SUPERSEDED` with an outcome. */
export type RunEnd =
  | { readonly kind: "ENDED"; readonly outcome: Outcome; readonly wasOwned: boolean }
  | { readonly kind: "ASLEEP" }
  | { readonly kind: "SUPERSEDED"; readonly outcome?: Outcome | undefined }
  | { readonly kind: "ABANDONED"; readonly wasOwned: boolean }
  | { readonly kind: "FAILED"; readonly error: unknown; readonly claim: (Claim & Tenant) | undefined };

export function isEnd(state: RunState): state is RunEnd {
  return state.kind !== "HELD" && state.kind !== "OWNED";
}

/** Why its journal cannot go on with a run. */
export type JournalEnd =
  | { readonly kind: "ASLEEP" }
  | { readonly kind: "SUPERSEDED" }
  | { readonly kind: "FAILED"; readonly error: unknown };

/** The abort reason of a run that ends before its graph does. */
export class RunInterrupted extends Error {
  constructor(end: RunEnd) {
    super(`the run is ${end.kind}`, "error" in end ? { cause: end.error } : {});
    this.name = "RunInterrupted";
  }
}

/** The cached resolution of a call was outdated when its execution was committed. The call is resolved anew. */
export class CallChangedError extends Error {
  constructor() {
    super("what the call was resolved by has changed");
    this.name = "CallChangedError";
  }
}

/**
 * Whether a run without a row failed since its call had changed, or may have: no refusal is given by what the call was
 * resolved to earlier.
 */
export function isOfChange(
  { error, claim }: RunEnd & { readonly kind: "FAILED" },
  readSet: ReadSet | undefined,
): boolean {
  return (
    readSet !== undefined && claim === undefined && (error instanceof CallChangedError || error instanceof RequestError)
  );
}

import type { JsonValue } from "@bufbuild/protobuf";
import type { Data } from "../pool/data-texts.ts";
import type { ProcessPool } from "../pool/process-pool.ts";
import type { Reference, TextScope } from "../templates/reference.ts";
import type { Variable } from "./bind-templates.ts";
import type { QueryContext } from "./functions/functions.ts";
import type { QuerySource } from "./syntax/error-position.ts";

/** The text of a query, in which a variable stands in the place of each template. */
export type BoundQuery = {
  readonly text: string;
  readonly variables: readonly Variable[];
  readonly source: QuerySource;
};

/** One run of a query: its input, the values of its variables in their order, and the attempt that it is part of. */
export type QueryRun = {
  readonly input: Data;
  readonly bound: readonly Data[];
  readonly attempt: QueryAttempt;
};

/** The part of a node's attempt that a query needs. */
export type QueryAttempt = QueryContext & {
  readonly scope: QueryScope;
  /** `[organizationId, environmentId]`: the pool is shared fairly between them. */
  readonly tenantPath: readonly [string, string];
  readonly pool: Pick<ProcessPool, "run">;
  /** Runs what may take long, and waits for other processes. */
  work<Result>(piece: () => Promise<Result>): Promise<Result>;
  /**
   * Opens the node's time-out. Its time begins with `start`, so that neither the wait for a free child process nor a wait
   * for the database uses it up.
   */
  openTimeout(): NodeTimeout;
};

/** A scope for queries. */
export type QueryScope = TextScope & {
  /** Reads as `read` does, but the output of a skipped node is undefined, like that of a node that has not run. */
  readForQuery(reference: Reference): JsonValue | undefined;
};

/** The time-out of one attempt. */
export type NodeTimeout = {
  /** Aborts with NODE_TIMED_OUT when the time is up, and with the attempt's own reason when that aborts. */
  readonly signal: AbortSignal;
  start(): void;
  /** Stops the timer. */
  close(): void;
};

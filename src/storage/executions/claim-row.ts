/** Who writes for an execution. Once another has taken it over, the epoch is another and nothing is written. */
export type Claim = {
  readonly environmentId: string;
  readonly executionId: string;
  /** A name of the process of which no other start of it has ever the same. */
  readonly owner: string;
  readonly epoch: number;
};

/** What every write of an owner names, as columns. */
export const claimTypes = { execution_id: "text", environment_id: "text", owner: "text", epoch: "int" } as const;

export function toClaimRow({ executionId, environmentId, owner, epoch }: Claim) {
  return { execution_id: executionId, environment_id: environmentId, owner, epoch };
}

/** In the order of their ids: two statements that lock claims in one order never wait for each other. */
export function inLockOrder<Row extends { readonly execution_id: string }>(rows: readonly Row[]): readonly Row[] {
  return rows.toSorted((left, right) => (left.execution_id < right.execution_id ? -1 : 1));
}

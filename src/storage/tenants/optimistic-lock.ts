import { RequestError } from "../../domain/request-error.ts";

/**
 * Optimistic locking: a caller that names revisions (as etags) overwrites only those. Without revisions it overwrites
 * whatever is there; an empty list means that nothing may be there.
 */
export type ExpectedWrites<Row> = {
  readonly insert: (onConflict: "replace" | "keep") => Promise<Row | undefined>;
  /** Changes the row if it has one of these revisions. */
  readonly update: (revisions: readonly number[]) => Promise<Row | undefined>;
};

/** Answers undefined where something else was there; then nothing was written. */
export function putExpected<Row>(
  expectedRevisions: readonly number[] | undefined,
  { insert, update }: ExpectedWrites<Row>,
): Promise<Row | undefined> {
  if (expectedRevisions === undefined) return insert("replace");
  return expectedRevisions.length === 0 ? insert("keep") : update(expectedRevisions);
}

/** The refusal of a change that expected another revision. */
export function changedMeanwhile(
  resource: string,
  metadata: Readonly<Record<string, string>> = { resource },
): RequestError {
  const message = `Somebody else has changed ${resource} in the meantime. Read it again and repeat your change on it.`;
  return new RequestError("ETAG_MISMATCH", message, { metadata });
}

/** How a row is written by whoever has said, or has not, what they expect to be there. */
export type ExpectedWrites<Row> = {
  /** @param others what becomes of a row that is there already */
  readonly insert: (others: "replaced" | "kept") => Promise<Row | undefined>;
  /** Changes the row where it is in one of these revisions. */
  readonly update: (revisions: readonly number[]) => Promise<Row | undefined>;
};

/**
 * Writes a row over whatever is there where no revision is expected, only if it is new where the list is empty, and only over
 * one of these revisions otherwise. Gives undefined where something else was there, and nothing was written.
 */
export function putExpected<Row>(
  expectedRevisions: readonly number[] | undefined,
  { insert, update }: ExpectedWrites<Row>,
): Promise<Row | undefined> {
  if (expectedRevisions === undefined) return insert("replaced");
  return expectedRevisions.length === 0 ? insert("kept") : update(expectedRevisions);
}

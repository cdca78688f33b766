/** Bounds of one quarantine. */
const quarantineMsMin = 100;
const quarantineMsMax = 2_000;

/** All candidates for poison are to be quarantined within this time: each gets an equal share. */
const allMs = 20_000;

/** A candidate that survived a quarantine may need longer to do harm: its next one is longer by this factor. */
const repeatFactor = 4;
const repeatedMsMax = 60_000;

/** Where the database is slow, everything takes longer: the time of the claim counts this many times. */
const claimFactor = 8;

/** An execution that may have killed its owners, and runs here while nothing else begins. */
export type Quarantine = {
  readonly executionId: string;
  /** A monotonic time. */
  readonly beginTime: number;
  readonly claimMs: number;
  /** How many quarantines it survived before. */
  readonly survived: number;
};

/** The rest of a quarantine in milliseconds, while so many other candidates are waiting for theirs. */
export function quarantineLeftMs(
  { beginTime, claimMs, survived }: Quarantine,
  { now, candidates }: { readonly now: number; readonly candidates: number },
): number {
  const shareMs = Math.max(quarantineMsMin, Math.min(quarantineMsMax, allMs / (candidates + 1)));
  const ms = Math.min(repeatedMsMax, shareMs * repeatFactor ** survived);
  return Math.max(0, beginTime + ms + claimFactor * claimMs - now);
}

/**
 * How long a suspect has this process for itself at the least and at the most. All that wait for a trial share the time
 * in which the one that kills is to be found.
 */
const trialMsMin = 100;
const trialMsMax = 2_000;
const trialsMs = 20_000;

/**
 * How many times as long the next trial is of what was tried before and did no harm, and how long one is at the most: it
 * may need longer than a trial to kill.
 */
const trialFactor = 4;
const trialMsLongest = 60_000;

/** How many times as long as its claim took a trial lasts beyond that. */
const claimsPerTrial = 8;

/** A suspect that is tried. */
export type Trial = {
  readonly id: string;
  readonly beginTime: number;
  readonly claimMs: number;
  /** How many it has stood. */
  readonly trials: number;
};

/** How many milliseconds of a trial are left, where so many others wait for theirs. */
export function leftOf({ beginTime, claimMs, trials }: Trial, suspects: number): number {
  const shareMs = Math.max(trialMsMin, Math.min(trialMsMax, trialsMs / (suspects + 1)));
  const ms = Math.min(trialMsLongest, shareMs * trialFactor ** trials);
  // Where everything takes long, so does what kills.
  return Math.max(0, beginTime + ms + claimsPerTrial * claimMs - performance.now());
}

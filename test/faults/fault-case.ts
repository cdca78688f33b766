import type { TestPostgres } from "../support/postgres.ts";

/** A `sample` is over in seconds and runs in every `npm test`; the `full` size is what `npm run faults` is for. */
export type FaultSize = "sample" | "full";

export type FaultRun = {
  readonly seed: number;
  /** From 0 to below 1, the same numbers for the same seed. Draw the schedule of the faults before the first of them. */
  readonly random: () => number;
  readonly size: FaultSize;
  /** The server that all cases share. One that is to be crashed or stopped is a case's own: `startOwnPostgres`. */
  readonly postgres: TestPostgres;
  /** Tells whoever watches the run how far it is. */
  readonly say: (line: string) => void;
};

/**
 * What a run measured. Where they apply: executions, kills, lost, doubleResults, callsPerKeyMean, callsPerKeyMax, fenced,
 * drainMs, recoveryMs.
 */
export type FaultFigures = Readonly<Record<string, number | string>>;

/** Something that goes wrong, and what has to hold all the same. It cleans up after itself, whatever happens. */
export type FaultCase = {
  /** Its name in the list of what is to be survived: A1, B3. */
  readonly id: string;
  readonly title: string;
  /** How many others its sample may run beside, where it is about times that a full machine does not keep. */
  readonly besides?: 0 | 1;
  /** Throws where something did not hold, or where the fault did not happen at all. */
  run(run: FaultRun): Promise<FaultFigures>;
};

/** Numbers from 0 to below 1, the same for the same seed: mulberry32, which is in the public domain. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

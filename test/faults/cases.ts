import { callsOfOneKey } from "./cases/one-key.ts";
import type { FaultCase } from "./fault-case.ts";

/** All that `npm run faults` runs, in its order. */
export const cases: readonly FaultCase[] = [callsOfOneKey];

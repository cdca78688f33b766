import { killsOfOneProcess, killsOfTwoProcesses } from "./cases/kills.ts";
import { callsOfOneKey } from "./cases/one-key.ts";
import type { FaultCase } from "./fault-case.ts";

/** All that `npm run faults` runs, in its order. */
export const cases: readonly FaultCase[] = [killsOfOneProcess, killsOfTwoProcesses, callsOfOneKey];

import assert from "node:assert/strict";
import type { FaultRun } from "./fault-case.ts";

/** How much more time a sample has: whatever else is tested at the moment has the machine too. */
const sampleShare = 50;

/** What a time may be at the most: as it is told in a full run, which has the machine for itself, and looser in a sample. */
export function boundOf({ size }: Pick<FaultRun, "size">, ms: number): number {
  return size === "full" ? ms : sampleShare * ms;
}

/** Throws where a time is over its bound. */
export function assertWithin(run: Pick<FaultRun, "size">, ms: number, boundMs: number, what: string): void {
  const most = boundOf(run, boundMs);
  assert.ok(ms <= most, `${what} took ${Math.round(ms)} ms, and at the most ${most} ms are allowed`);
}

import { measureOne } from "./measure.ts";
import type { Target } from "./target.ts";

/**
 * The recorded bound: CPU of a synchronous call at 64 connections, its Postgres included, as a multiple of the echo's in
 * the same run. Lower it when the service has become faster.
 */
const recordedMultiple = 15;

/** On a machine that does other work too a call may take a third more. */
const tolerance = 4 / 3;

const triesMax = 3;
const seconds = 1.5;

/** Whether one of three tries keeps to the bound. */
export async function checkBound(targets: readonly Target[]): Promise<boolean> {
  const max = recordedMultiple * tolerance;
  for (const target of targets) {
    await measureOne(target, "sync", { connections: 64, seconds: 1 });
  }
  for (let tried = 1; tried <= triesMax; tried += 1) {
    const costs: number[] = [];
    for (const target of targets) {
      costs.push((await measureOne(target, "sync", { connections: 64, seconds }))?.cpuUs ?? Number.NaN);
    }
    const [echo = Number.NaN, flowcall = Number.NaN] = costs;
    const multiple = flowcall / echo;
    process.stdout.write(
      `CPU of a synchronous call: ${flowcall.toFixed(0)} µs, ${multiple.toFixed(1)} times the echo's ${echo.toFixed(0)} µs; ` +
        `the bound is ${max.toFixed(1)} times\n`,
    );
    if (multiple <= max) {
      return true;
    }
  }
  return false;
}

import type { Logger } from "pino";
import { afterAll } from "vitest";
import type { Environment } from "../../src/config.ts";
import { type Flowcall, startFlowcall } from "../support/flowcall.ts";

/** Starts the service that all tests of a file call, and stops it after the last of them. */
export async function useFlowcall(environment?: Environment, log?: Logger): Promise<Flowcall> {
  const flowcall = await startFlowcall(environment, log);
  afterAll(() => flowcall.stop());
  return flowcall;
}

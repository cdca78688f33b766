import type { Call } from "../../domain/http/call.ts";

/**
 * What is kept of a caller's deadline, within bounds: a fifth. Its clock began before it had a connection, and the answer
 * has its way back.
 */
const marginShare = 1 / 5;
const marginMsMin = 25;
const marginMsMax = 1_000;

/**
 * How long a call waits for the end of an execution, in milliseconds: the shortest of the server's limit, what the
 * caller asks for in seconds, and the caller's deadline less a margin in which the answer can reach it.
 */
export function waitBudget(
  { deadline }: Pick<Call, "deadline">,
  { seconds, limitMs }: { readonly seconds: number | undefined; readonly limitMs: number },
): number {
  const asked = seconds === undefined ? limitMs : seconds * 1_000;
  const left = deadline === undefined ? Number.POSITIVE_INFINITY : lessMargin(deadline - performance.now());
  return Math.max(0, Math.min(limitMs, asked, left));
}

function lessMargin(ms: number): number {
  return ms - Math.min(marginMsMax, Math.max(marginMsMin, ms * marginShare));
}

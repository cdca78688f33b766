import type { Call } from "../../domain/http/call.ts";

/**
 * The share of the caller's deadline that is kept back for the network, within bounds: the deadline began before the
 * connection did, and the answer has to travel back.
 */
const marginShare = 1 / 5;
const marginMsMin = 25;
const marginMsMax = 1_000;

/**
 * How long a call waits for the end of an execution, in milliseconds: the shortest of the server's limit, the wait that the
 * caller asks for in seconds, and the caller's deadline less a margin for the network.
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

import type { Retry } from "../graph/graph.ts";
import { createSeededRandom } from "../query/functions/seeded-random.ts";
import type { NodeVisit } from "./node-visit.ts";

/**
 * The delay before the next attempt of a node: exponential backoff, in milliseconds. Jitter takes off up to half of it; it is
 * seeded, so that a replay waits as long.
 */
export function retryDelayMs({ delayMs, factor, hasJitter }: Retry, visit: NodeVisit): number {
  const whole = delayMs * factor ** (visit.attempts - 1);
  if (!hasJitter) {
    return whole;
  }
  const random = createSeededRandom(`${visit.subgraph.state.run.executionId}\n${visit.path}#${visit.attempts + 1}`);
  return Math.round(whole * (0.5 + random() / 2));
}

/**
 * Whether the attempt of a node is its last. A synchronous caller waits, and SKIP says that the workflow can do without the
 * node: so there is no other one then.
 */
export function isLastAttempt({ attemptsMax }: Retry, { node, attempts, subgraph }: NodeVisit): boolean {
  const isOnlyOne = subgraph.state.run.type === "SYNC" && node.onError === "SKIP";
  return isOnlyOne || attempts >= attemptsMax;
}

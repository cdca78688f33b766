import type { Answer, NodeRun } from "../../domain/execution.ts";
import type { Graph } from "./graph.ts";

/**
 * The response that is among these records. A run records one response at most; a draft test may be given the outputs of
 * several Response nodes, and then the first in the order of the graph counts.
 */
export function answerAmong({ responses }: Pick<Graph, "responses">, runs: readonly NodeRun[]): Answer | undefined {
  const found = new Map<string, NodeRun>();
  for (const run of runs) {
    if (responses.has(run.node_id) && run.state === "SUCCESS" && run.output !== undefined) {
      found.set(run.node_id, run);
    }
  }
  if (found.size === 0) {
    return undefined;
  }
  for (const [id, statusCode] of responses) {
    const response = found.get(id)?.output;
    if (response !== undefined) {
      return { response, ...(statusCode !== undefined && { statusCode }) };
    }
  }
  return undefined;
}

import type { Answer, NodeRun } from "../../domain/execution.ts";
import type { Graph } from "./graph.ts";

/**
 * Finds the response among recorded node runs. A run records one response at most; a draft test may be given the outputs of
 * several Response nodes, and then the first in the order of the graph counts.
 */
export function recordedAnswer(
  { responses }: Pick<Graph, "responses">,
  recall: (path: string) => NodeRun | undefined,
): Answer | undefined {
  for (const [id, statusCode] of responses) {
    const run = recall(id);
    if (run?.state === "SUCCESS" && run.output !== undefined) {
      return { response: run.output, ...(statusCode !== undefined && { statusCode }) };
    }
  }
  return undefined;
}

/** The response that is among these records. */
export function answerAmong(graph: Pick<Graph, "responses">, runs: readonly NodeRun[]): Answer | undefined {
  const found = new Map<string, NodeRun>();
  for (const run of runs) {
    if (graph.responses.has(run.path)) {
      found.set(run.path, run);
    }
  }
  return found.size === 0 ? undefined : recordedAnswer(graph, (path) => found.get(path));
}

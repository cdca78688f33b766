import type { Limits } from "../domain/limits.ts";
import { RequestError } from "../domain/request-error.ts";
import { compileGraph } from "../engine/compile-graph.ts";
import type { Graph } from "../engine/graph.ts";
import type { WorkflowDefinition } from "../gen/flowcall/v1/definition_pb.ts";
import type { WorkflowProblem } from "../gen/flowcall/v1/workflow_pb.ts";

type Checked = { readonly graph: Graph; readonly warnings: WorkflowProblem[] };

/** Compiles a definition of the workflow of this id. Refuses with WORKFLOW_INVALID, and all problems, what cannot run. */
export function checkDefinition(
  definition: WorkflowDefinition,
  { id, limits }: { readonly id: string; readonly limits: Limits },
): Checked {
  const { graph, errors, warnings } = compileGraph(definition, limits);
  if (graph !== undefined) return { graph, warnings: [...warnings] };
  const [first] = errors;
  const node = first?.nodeId === undefined ? "" : `node ${first.nodeId}, `;
  throw new RequestError(
    "WORKFLOW_INVALID",
    `The definition cannot run: ${errors.length} ${errors.length === 1 ? "problem" : "problems"}, the first: ` +
      `${node}${first?.field}: ${first?.message}`,
    { problems: errors, metadata: { workflow_id: id, problems: String(errors.length) } },
  );
}

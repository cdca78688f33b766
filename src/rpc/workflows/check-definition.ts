import { RequestError } from "../../domain/request-error.ts";
import type { Definitions, Findings } from "../../engine/definitions.ts";
import type { WorkflowDefinition } from "../../gen/flowcall/v1/definition_pb.ts";

type CheckOptions = {
  /** The workflow's id. */
  readonly id: string;
  /** Its JSON. */
  readonly text: string;
  /** What its integration declares, as it is kept. */
  readonly applicationFields?: string;
  readonly definitions: Definitions;
  readonly path: readonly [string, string];
  readonly signal: AbortSignal;
};

/** Refuses with WORKFLOW_INVALID, and all problems, a definition that cannot run. Gives what its author should know. */
export async function checkDefinition(
  definition: WorkflowDefinition,
  { id, definitions, ...options }: CheckOptions,
): Promise<Findings["warnings"]> {
  const { errors, warnings } = await definitions.check(definition, options);
  if (errors.length === 0) return warnings;
  const [first] = errors;
  const isMore = errors.some(({ reason }) => reason === "TOO_MANY_PROBLEMS");
  const count = isMore ? errors.length - 1 : errors.length;
  const node = first?.nodeId === undefined ? "" : `node ${first.nodeId}, `;
  throw new RequestError(
    "WORKFLOW_INVALID",
    `The definition cannot run: ${isMore ? "more than " : ""}${count} ${count === 1 ? "problem" : "problems"}, the first: ` +
      `${node}${first?.field}: ${first?.message}`,
    { problems: errors, metadata: { workflow_id: id, problems: String(count) } },
  );
}

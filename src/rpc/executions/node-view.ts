import type { JsonValue } from "@bufbuild/protobuf";
import type { ExecutionError, NodeRun } from "../../domain/execution.ts";
import { redacted, redactPaths } from "../../domain/json/redacted.ts";
import type { JsonText } from "../../domain/json-text.ts";
import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";

/** What is shown of a node's runs. */
export type NodeView = {
  /** Empty where it has none. */
  readonly name: string;
  readonly isHidden: boolean;
  /** Whether what a run of it gives is the execution's response. */
  readonly isResponse: boolean;
  /** The paths in its output that are not shown. */
  readonly encryptedFields: readonly string[];
};

/** By the node's id. */
export type NodeViews = ReadonlyMap<string, NodeView>;

export function nodeViews(nodes: readonly Node[]): NodeViews {
  return new Map(
    nodes.map(({ id, name, kind, settings }) => {
      const { hideNodeRequest: isHidden = false, encryptedOutputFields: encryptedFields = [] } = settings ?? {};
      return [id, { name, isHidden, isResponse: kind.case === "response", encryptedFields }];
    }),
  );
}

/** A run with all that its node hides replaced. Of a node that nothing is known of, all is hidden. */
export function shownRun(run: NodeRun, view: NodeView = unknownNode): NodeRun {
  const { output = run.is_hidden === true && run.state === "SUCCESS" ? nothing : undefined, error } = run;
  return {
    ...run,
    ...(output !== undefined && { output: shownOutput(output, view) }),
    ...(error !== undefined && { error: shownError(error, view) }),
  };
}

/** What stands for an output that is not kept to be seen. The text of JSON's null. */
const nothing = "null" as JsonText;

const unknownNode: NodeView = { name: "", isHidden: true, isResponse: false, encryptedFields: [] };

function shownError(error: ExecutionError, { isHidden }: NodeView): ExecutionError {
  return isHidden ? { ...error, message: redacted } : error;
}

function shownOutput(output: JsonText, { isHidden, encryptedFields }: NodeView): JsonText {
  if (!isHidden && encryptedFields.length === 0) return output;
  // The text was written from a JSON value.
  const value = JSON.parse(output) as JsonValue;
  const shown = isHidden ? redacted : redactPaths(value, encryptedFields);
  // Made of a JSON value, with strings in it that are one.
  return JSON.stringify(shown) as JsonText;
}

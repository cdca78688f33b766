import type { JsonValue } from "@bufbuild/protobuf";
import type { ExecutionError, NodeRun } from "../../domain/execution.ts";
import { redacted, redactPaths } from "../../domain/json/redacted.ts";
import type { JsonText } from "../../domain/json-text.ts";
import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";

/** How the runs of a node are shown. */
export type NodeView = {
  /** Empty where the node has none. */
  readonly name: string;
  readonly isHidden: boolean;
  /** Whether the node sets the execution's response. */
  readonly isResponse: boolean;
  /** The paths in its output that are redacted. */
  readonly encryptedFields: readonly string[];
};

/** The views by node id. */
export type NodeViews = ReadonlyMap<string, NodeView>;

export function nodeViews(nodes: readonly Node[]): NodeViews {
  return new Map(
    nodes.map(({ id, name, kind, settings }) => {
      const { hideNodeRequest: isHidden = false, encryptedOutputFields: encryptedFields = [] } = settings ?? {};
      return [id, { name, isHidden, isResponse: kind.case === "response", encryptedFields }];
    }),
  );
}

/** A run in which all that its node hides is redacted. Runs of an unknown node are hidden as a whole. */
export function shownRun(run: NodeRun, view: NodeView = unknownNode): NodeRun {
  const { output = run.is_hidden === true && run.state === "SUCCESS" ? nothing : undefined, error } = run;
  return {
    ...run,
    ...(output !== undefined && { output: shownOutput(output, view) }),
    ...(error !== undefined && { error: shownError(error, view) }),
  };
}

/** Stands for a hidden output that is not stored: the text of JSON's null. */
const nothing = "null" as JsonText;

const unknownNode: NodeView = { name: "", isHidden: true, isResponse: false, encryptedFields: [] };

function shownError(error: ExecutionError, { isHidden }: NodeView): ExecutionError {
  return isHidden ? { ...error, message: redacted } : error;
}

function shownOutput(output: JsonText, { isHidden, encryptedFields }: NodeView): JsonText {
  if (!isHidden && encryptedFields.length === 0) return output;
  // The cast: the text was written from a JSON value.
  const value = JSON.parse(output) as JsonValue;
  const shown = isHidden ? redacted : redactPaths(value, encryptedFields);
  // The cast: the text is JSON, and strings were replaced by strings.
  return JSON.stringify(shown) as JsonText;
}

import type { JsonValue } from "@bufbuild/protobuf";
import type { NodeRun } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import { redacted, redactPaths } from "../../domain/json/redacted.ts";
import { shownError } from "../../engine/errors/shown-error.ts";
import type { NodeView } from "../../engine/graph/definition-outline.ts";

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

const unknownNode: NodeView = { name: "", isGroup: false, isResponse: false, isHidden: true, encryptedFields: [] };

function shownOutput(output: JsonText, { isHidden, encryptedFields }: NodeView): JsonText {
  if (!isHidden && encryptedFields.length === 0) {
    return output;
  }
  // The cast: the text was written from a JSON value.
  const value = JSON.parse(output) as JsonValue;
  const shown = isHidden ? redacted : redactPaths(value, encryptedFields);
  // The cast: the text is JSON, and strings were replaced by strings.
  return JSON.stringify(shown) as JsonText;
}

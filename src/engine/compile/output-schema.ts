import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { unreachable } from "../../domain/unreachable.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { GroupStep, Step, TryCatchStep } from "../graph/graph.ts";
import { closedObject } from "../schema/closed-object.ts";
import type { Template } from "../templates/reference.ts";

/** The JSON Schema of a Group's value inside of its iterations. */
export function iterationSchemaOf({ mode }: GroupStep): JsonObject {
  return closedObject({ iteration_count: { type: "integer" }, ...(mode.kind === "array" && { array_item: true }) });
}

/** Infers a JSON Schema of a node's output before any run. For a Group, it is the output that the nodes after it read. */
export function outputSchemaOf(step: Exclude<Step, { readonly kind: "start" }>): JsonValue {
  switch (step.kind) {
    case "leaf":
      return step.leaf.output ?? true;
    case "rule":
      return closedObject({ satisfied: { type: "boolean" } });
    case "switch":
      return closedObject({
        evaluated_value: true,
        matched_case: closedObject({ case_value: { type: ["string", "null"] }, port: { type: "string" } }),
      });
    case "merge":
      return closedObject({ arrived: { type: "array", items: { type: "string" } } });
    case "group":
      return { type: "array", items: step.output === undefined ? { type: "null" } : templateSchema(step.output) };
    case "try_catch":
      return tryCatchSchema(step);
    case "response":
      return templateSchema(step.response);
    case "terminate":
      return { type: "string" };
    default:
      return unreachable(step);
  }
}

function tryCatchSchema({ output, catchOutput }: TryCatchStep): JsonValue {
  const nothing: JsonObject = { type: "null" };
  const either = [output, catchOutput].map((template) => (template === undefined ? nothing : templateSchema(template)));
  return closedObject({
    try_catch_result: { type: "boolean" },
    message: { type: "string" },
    failed_node_id: { type: ["string", "null"] },
    error_message: { anyOf: [nothing, closedObject({ message: { type: "string" }, error: { type: "array" } })] },
    error: true,
    output: { anyOf: either },
  });
}

/** Stands for the value of each reference, in a rendering whose shape alone matters. */
const unknownValue: JsonObject = {};

/** The schema of what a template renders, whatever its references read. */
function templateSchema(template: Template<JsonValue>): JsonValue {
  try {
    return schemaOfRendered(template.render({ read: () => unknownValue }));
  } catch (error) {
    if (!(error instanceof NodeFailure)) {
      throw error;
    }
    return true;
  }
}

function schemaOfRendered(value: JsonValue): JsonValue {
  if (value === unknownValue) {
    return true;
  }
  if (Array.isArray(value)) {
    return { type: "array", prefixItems: value.map(schemaOfRendered), items: false };
  }
  // The types of scalars do not matter here: no path leads into any of them.
  if (typeof value !== "object" || value === null) {
    return { type: ["string", "number", "boolean", "null"] };
  }
  return closedObject(
    Object.fromEntries(Object.entries(value).map(([name, member]) => [name, schemaOfRendered(member)])),
  );
}

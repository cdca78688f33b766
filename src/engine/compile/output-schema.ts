import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { unreachable } from "../../domain/unreachable.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { GroupStep, Step } from "../graph/graph.ts";
import { closedObject } from "../schema/closed-object.ts";
import type { Template } from "../templates/reference.ts";

/** What a Group gives to the nodes inside of it. */
export function iterationSchemaOf({ mode }: GroupStep): JsonObject {
  return closedObject({ iteration_count: { type: "integer" }, ...(mode.kind === "array" && { array_item: true }) });
}

/** What is known of a node's output before it has run, as a JSON Schema. Of a Group it is what those behind it read. */
export function outputSchemaOf(step: Exclude<Step, { readonly kind: "start" }>): JsonValue {
  switch (step.kind) {
    case "leaf":
      return step.leaf.output ?? true;
    case "rule":
      return closedObject({ satisfied: { type: "boolean" } });
    case "group":
      return { type: "array", items: step.output === undefined ? { type: "null" } : templateSchema(step.output) };
    case "response":
      return templateSchema(step.response);
    case "terminate":
      return { type: "string" };
    default:
      return unreachable(step);
  }
}

/** Stands for what a template reads, in a rendering that is looked at alone. */
const anything: JsonObject = {};

/** What a template renders, whatever its references read. */
function templateSchema(template: Template<JsonValue>): JsonValue {
  try {
    return schemaOfRendered(template.render({ read: () => anything }));
  } catch (error) {
    if (!(error instanceof NodeFailure)) throw error;
    return true;
  }
}

function schemaOfRendered(value: JsonValue): JsonValue {
  if (value === anything) return true;
  if (Array.isArray(value)) return { type: "array", prefixItems: value.map(schemaOfRendered), items: false };
  // Of texts and numbers it counts that nothing is in them.
  if (typeof value !== "object" || value === null) return { type: ["string", "number", "boolean", "null"] };
  return closedObject(
    Object.fromEntries(Object.entries(value).map(([name, member]) => [name, schemaOfRendered(member)])),
  );
}

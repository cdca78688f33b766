import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { parseDefinition } from "../../domain/json/definition-text.ts";
import type { Limits } from "../../domain/limits.ts";
import { type WorkflowProblem, WorkflowProblemSchema } from "../../gen/flowcall/v1/workflow_pb.ts";
import { compileGraph, workflowContextOf } from "../compile/compile-graph.ts";
import type { RunTask } from "../pool/tasks.ts";
import { deriveSchemaOf } from "../schema/derive-schema.ts";

/** Compiles definitions and reports their problems. */
export function createDefinitionTask(limits: Limits): RunTask<"definition"> {
  return ({ head: { derivesSchema }, texts: [text = "", fields] }) => {
    const definition = parseDefinition(text);
    const { errors, warnings } = compileGraph(definition, limits, workflowContextOf(fields));
    const start = definition.nodes.find((node) => node.kind.case === "start");
    const trigger = start?.kind.case === "start" ? start.kind.value.trigger : undefined;
    const sample = derivesSchema && trigger?.case === "apiCall" ? trigger.value.payload : undefined;
    return {
      head: { errors: errors.map(jsonOf), warnings: warnings.map(jsonOf) },
      texts: sample === undefined ? [] : [JSON.stringify(deriveSchemaOf(sample))],
    };
  };
}

function jsonOf(problem: WorkflowProblem): JsonValue {
  return toJson(WorkflowProblemSchema, problem);
}

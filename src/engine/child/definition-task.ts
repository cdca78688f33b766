import { fromJsonString, type JsonValue, toJson } from "@bufbuild/protobuf";
import type { Limits } from "../../domain/limits.ts";
import { WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import { type WorkflowProblem, WorkflowProblemSchema } from "../../gen/flowcall/v1/workflow_pb.ts";
import { compileGraph, workflowContextOf } from "../compile/compile-graph.ts";
import type { RunTask } from "../pool/tasks.ts";
import { deriveSchemaOf } from "../schema/derive-schema.ts";

/** Compiles definitions and reports their problems. */
export function createDefinitionTask(limits: Limits): RunTask<"definition"> {
  return ({ head: { derivesSchema }, texts: [text = "", fields] }) => {
    // A definition that an older release stored may have fields that this one no longer knows.
    const definition = fromJsonString(WorkflowDefinitionSchema, text, { ignoreUnknownFields: true });
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

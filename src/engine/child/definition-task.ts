import { fromJsonString, type JsonValue, toJson } from "@bufbuild/protobuf";
import type { Limits } from "../../domain/limits.ts";
import { WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import { type WorkflowProblem, WorkflowProblemSchema } from "../../gen/flowcall/v1/workflow_pb.ts";
import { compileGraph, surroundingsOf } from "../compile/compile-graph.ts";
import type { RunTask } from "../pool/tasks.ts";
import { deriveSchemaOf } from "../schema/derive-schema.ts";

/** The first text is the definition; a second one is what its integration declares. */
export type DefinitionRequest = { readonly derivesSchema: boolean };

/** Problems as the JSON of `WorkflowProblem`. The text is the derived schema, where one was asked for and there is a sample. */
export type DefinitionReply = { readonly errors: readonly JsonValue[]; readonly warnings: readonly JsonValue[] };

/** Compiles definitions, and tells what is wrong with them. */
export function createDefinitionTask(limits: Limits): RunTask<"definition"> {
  return ({ head: { derivesSchema }, texts: [text = "", fields] }) => {
    // What an older release stored may hold fields that this one does not know any more.
    const definition = fromJsonString(WorkflowDefinitionSchema, text, { ignoreUnknownFields: true });
    const { errors, warnings } = compileGraph(definition, limits, surroundingsOf(fields));
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

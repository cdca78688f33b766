import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { createValidator, type Validator, type Violation } from "@bufbuild/protovalidate";
import { WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import { CreateWorkflowRequestSchema, UpdateWorkflowRequestSchema } from "../../gen/flowcall/v1/workflow_pb.ts";
import { type FilePath, type FileProblem, problemAt } from "./file-problem.ts";
import type { WorkflowFile } from "./workflow-file.ts";

/** Checks files by the protovalidate rules of the requests, so that no request is sent that the server would refuse. */
export class FileRules {
  readonly #validator: Validator = createValidator();

  /** `isNew`: the workflow does not exist on the server. */
  problemsOf(file: WorkflowFile, { isNew }: { readonly isNew: boolean }): readonly FileProblem[] {
    const { name, slug, alias, description = "" } = file.header;
    const inHeader = isNew
      ? this.#violations(CreateWorkflowRequestSchema, { name, slug, alias, description })
      : this.#violations(UpdateWorkflowRequestSchema, { workflow: alias, name, description });
    const inDefinition = this.#violations(WorkflowDefinitionSchema, file.definition);
    return [
      ...inHeader.map((violation) => problemOf(file, [], violation)),
      ...inDefinition.map((violation) => problemOf(file, ["definition"], violation)),
    ];
  }

  #violations<T extends DescMessage>(schema: T, message: MessageInitShape<T>): readonly Violation[] {
    const result = this.#validator.validate(schema, create(schema, message));
    if (result.kind === "error") {
      throw result.error;
    }
    return result.kind === "invalid" ? result.violations : [];
  }
}

function problemOf(file: WorkflowFile, place: FilePath, { field, message }: Violation): FileProblem {
  const path = field.map((part) => {
    if (part.kind === "list_sub") {
      return part.index;
    }
    return part.kind === "map_sub" ? String(part.key) : part.name;
  });
  return problemAt(file, [...place, ...path], { reason: "INVALID_FIELD", message });
}
